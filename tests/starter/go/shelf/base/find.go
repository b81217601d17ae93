package shelf

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// errHidden is the reason for all that may not be served.
var errHidden = errors.New("not to be served")

// find answers the file that a request's path names: an existing, regular one that may be served.
func (s *Shelf) find(path string) (string, error) {
	if strings.ContainsRune(path, 0) || strings.Contains(path, `\`) {
		return "", errHidden
	}
	name := filepath.Join(s.root, filepath.FromSlash(path))
	if !s.holds(name) || s.hides(name) {
		return "", errHidden
	}
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if info.IsDir() {
		name = filepath.Join(name, "index.html")
		if info, err = os.Stat(name); err != nil {
			return "", err
		}
	}
	if !info.Mode().IsRegular() {
		return "", errHidden
	}
	return name, nil
}

// holds says whether a name lies in the directory.
func (s *Shelf) holds(name string) bool {
	return strings.HasPrefix(name, s.root)
}

// hides says whether a part of a name below the directory begins with a dot.
func (s *Shelf) hides(name string) bool {
	below := strings.TrimPrefix(name, s.root)
	for _, part := range strings.Split(below, string(filepath.Separator)) {
		if strings.HasPrefix(part, ".") {
			return true
		}
	}
	return false
}
