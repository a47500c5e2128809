package node

func openFiles() int { return 0 }
