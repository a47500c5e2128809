package node

import (
	"kakehashi/config"
	"kakehashi/services"
	"kakehashi/services/files"
)

// offered is the list of services: one line each, with its settings.
func offered(s config.Settings) []configured {
	return []configured{
		{files.Kind, files.Settings{Roots: s.FilesRoots}},
	}
}

type configured struct {
	services.Kind
	settings any
}
