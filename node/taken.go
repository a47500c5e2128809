package node

import (
	"context"
	"time"

	"kakehashi/internal/watch"
)

// takeAgain is how long what a replica left waits when it could not be taken over.
const takeAgain = 5 * time.Second

// taken has read again what another replica, which is gone, may have changed without
// telling, and what only it had in memory. It holds up the next beat of the lease,
// so it waits for nothing.
func (n *Node) taken(hub *watch.Hub) {
	hub.Missed()
	n.transfers.Reload()
	select {
	case n.left <- struct{}{}:
	default:
	}
}

// takeOver closes what replicas that are gone left open in the data plane.
func (n *Node) takeOver(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.left:
		}
		for err := n.plane.Reload(ctx); err != nil && ctx.Err() == nil; err = n.plane.Reload(ctx) {
			n.c.Log.WarnContext(ctx, "what a replica left in the data plane cannot be taken over; trying again", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(takeAgain):
			}
		}
	}
}
