// go-git as a client of the matrix: see tests/clients/README.md.
package main

import (
	"fmt"
	"os"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/plumbing/transport/ssh"
	cryptossh "golang.org/x/crypto/ssh"
)

// login is the token as password, or the key.
func login() (transport.AuthMethod, error) {
	if token := os.Getenv("FORGE_TOKEN"); token != "" {
		return &http.BasicAuth{Username: "any", Password: token}, nil
	}
	keys, err := ssh.NewPublicKeysFromFile("any", os.Getenv("FORGE_KEY"), "")
	if err == nil {
		keys.HostKeyCallback = cryptossh.InsecureIgnoreHostKey()
	}
	return keys, err
}

func cannot(why string) {
	fmt.Println("cannot: " + why)
	os.Exit(77)
}

func run(what, url, dir string, rest []string) error {
	auth, err := login()
	if err != nil {
		return err
	}
	if what == "clone" || what == "shallow" {
		options := &git.CloneOptions{URL: url, Auth: auth, Tags: git.NoTags}
		if what == "shallow" {
			options.Depth = 1
			options.SingleBranch = true
		}
		_, err = git.PlainClone(dir, true, options)
		return err
	}
	if what == "partial" {
		cannot("go-git 5 knows no filters")
	}
	repository, err := git.PlainOpen(dir)
	if err != nil {
		return err
	}
	remote := git.NewRemote(repository.Storer, &config.RemoteConfig{Name: "anonymous", URLs: []string{url}})
	fetch := func(spec string) error {
		specs := []config.RefSpec{config.RefSpec(spec)}
		return remote.Fetch(&git.FetchOptions{Auth: auth, RefSpecs: specs, Tags: git.NoTags})
	}
	push := func(spec string) error {
		return remote.Push(&git.PushOptions{Auth: auth, RemoteName: "anonymous", RefSpecs: []config.RefSpec{config.RefSpec(spec)}})
	}
	switch what {
	case "fetch":
		return fetch("+refs/heads/*:refs/remotes/origin/*")
	case "tags":
		return fetch("+refs/tags/*:refs/tags/*")
	case "push":
		return push(rest[0] + ":" + rest[1])
	case "delete":
		return push(":" + rest[0])
	}
	return fmt.Errorf("%s is unknown", what)
}

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
