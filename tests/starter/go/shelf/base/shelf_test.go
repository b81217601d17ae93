package shelf

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// laid makes files below a new directory, from their names and contents, and answers the directory.
func laid(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func opened(t *testing.T, dir string) *Shelf {
	t.Helper()
	shelf, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return shelf
}

// get asks for a path as it stands, without a client that would tidy it up.
func get(shelf *Shelf, path string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.URL.Path = path
	answer := httptest.NewRecorder()
	shelf.ServeHTTP(answer, request)
	return answer
}

// asks fails unless a path answers with a text; an empty one stands for 404.
func asks(t *testing.T, shelf *Shelf, path, want string) {
	t.Helper()
	answer := get(shelf, path)
	if want == "" && answer.Code != http.StatusNotFound {
		t.Errorf("%s: %d %q, want 404", path, answer.Code, answer.Body)
	}
	if want != "" && (answer.Code != http.StatusOK || answer.Body.String() != want) {
		t.Errorf("%s: %d %q, want %q", path, answer.Code, answer.Body, want)
	}
}

func TestFilesAreServed(t *testing.T) {
	shelf := opened(t, laid(t, map[string]string{
		"index.html":      "home",
		"css/site.css":    "body {}",
		"docs/index.html": "docs",
	}))
	asks(t, shelf, "/", "home")
	asks(t, shelf, "/css/site.css", "body {}")
	asks(t, shelf, "/docs", "docs")
	asks(t, shelf, "/docs/../css/./site.css", "body {}")
	asks(t, shelf, "/missing", "")
	asks(t, shelf, "/css", "")
}

func TestDotFilesAreHidden(t *testing.T) {
	shelf := opened(t, laid(t, map[string]string{".env": "secret", ".git/config": "secret", "a/.b/c": "secret"}))
	for _, path := range []string{"/.env", "/.git/config", "/a/.b/c"} {
		asks(t, shelf, path, "")
	}
}

func TestPathsThatLeadOutAreNotServed(t *testing.T) {
	dir := laid(t, map[string]string{"site/index.html": "home", "other/secret.txt": "secret"})
	shelf := opened(t, filepath.Join(dir, "site"))
	asks(t, shelf, "/../other/secret.txt", "")
	asks(t, shelf, "/../../../../../../../../etc/passwd", "")
	asks(t, shelf, `/..\other\secret.txt`, "")
}

func TestOtherMethodsAreRefused(t *testing.T) {
	shelf := opened(t, laid(t, map[string]string{"index.html": "home"}))
	answer := httptest.NewRecorder()
	shelf.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/", nil))
	if answer.Code != http.StatusMethodNotAllowed {
		t.Fatal(answer.Code)
	}
}

func TestADirectoryIsNeeded(t *testing.T) {
	dir := laid(t, map[string]string{"file": ""})
	for _, name := range []string{"file", "missing"} {
		if _, err := Open(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was opened", name)
		}
	}
}
