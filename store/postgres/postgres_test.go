package postgres_test

import (
	"testing"

	"kakehashi/store/storetest"
)

func TestTheEngineKeepsThePromisesOfTheStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.OpenPostgres)
}
