package maven_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"kakehashi/conformance/maven"
)

func TestWithoutAJDKTheProgramIsMissing(t *testing.T) { // not parallel: PATH is the process's
	t.Setenv("PATH", t.TempDir())
	for folder, property := range map[string]string{filepath.Join("..", "tck", "kit"): "kit.version", filepath.Join("..", "edc", "connector"): "edc.version"} {
		_, err := maven.Fetch(t.Context(), folder, t.TempDir(), "program", property, "java")
		if !errors.Is(err, maven.ErrMissing) || !strings.Contains(err.Error(), "JDK") {
			t.Errorf("%s: %v", folder, err)
		}
	}
	if _, err := maven.Fetch(t.Context(), filepath.Join("..", "tck", "kit"), t.TempDir(), "program", "no.such", "java"); err == nil || errors.Is(err, maven.ErrMissing) {
		t.Errorf("a pom.xml without a version counts as a machine that lacks something: %v", err)
	}
}
