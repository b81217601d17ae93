// What a CI does that knows GitHub or Gitea: it posts a status with the library of its kind and reads it back.
//
//	statuses github|gitea <url> <project> <commit> <check> <state> [description]
//
// The token comes in FORGE_TOKEN. Prints what was posted, then the combined status; a refusal on stderr, with exit 1.
package main

import (
	"context"
	"fmt"
	"net/url"
	"os"

	"code.gitea.io/sdk/gitea"
	"github.com/google/go-github/v66/github"
)

const owner = "forge"

func main() {
	args := append(os.Args[1:], "")
	say := map[string]func([]string) error{"github": byGithub, "gitea": byGitea}[args[0]]
	if err := say(args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func byGithub(args []string) error {
	base, project, commit, ctx := args[0], args[1], args[2], context.Background()
	client := github.NewClient(nil).WithAuthToken(os.Getenv("FORGE_TOKEN"))
	address, err := url.Parse(base + "/api/v3/")
	if err != nil {
		return err
	}
	client.BaseURL = address
	if _, _, err := client.Repositories.Get(ctx, owner, project); err != nil {
		return err
	}
	said, _, err := client.Repositories.CreateStatus(ctx, owner, project, commit,
		&github.RepoStatus{Context: &args[3], State: &args[4], Description: &args[5]})
	if err != nil {
		return err
	}
	fmt.Println(said.GetContext(), said.GetState(), said.GetDescription(), "by", said.GetCreator().GetLogin())
	all, _, err := client.Repositories.GetCombinedStatus(ctx, owner, project, commit, nil)
	if err != nil {
		return err
	}
	fmt.Println("all", all.GetState(), len(all.Statuses), "of", all.GetTotalCount())
	return nil
}

func byGitea(args []string) error {
	base, project, commit := args[0], args[1], args[2]
	client, err := gitea.NewClient(base, gitea.SetToken(os.Getenv("FORGE_TOKEN")))
	if err != nil {
		return err
	}
	said, _, err := client.CreateStatus(owner, project, commit,
		gitea.CreateStatusOption{Context: args[3], State: gitea.StatusState(args[4]), Description: args[5]})
	if err != nil {
		return err
	}
	fmt.Println(said.Context, said.State, said.Description, "by", said.Creator.UserName)
	all, _, err := client.GetCombinedStatus(owner, project, commit)
	if err != nil {
		return err
	}
	fmt.Println("all", all.State, len(all.Statuses), "of", all.TotalCount)
	return nil
}
