package config

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/internal/auth"
)

// auth reads the logins that have a name.
func (r *reader) auth(plan *Plan, n *yaml.Node) {
	if n.IsZero() {
		return
	}
	r.entries(n, "auth", `logins by name, such as api: {headers: {X-Api-Key: "env:API_KEY"}}`, func(key, value *yaml.Node) {
		if !r.goodName(key, "auth") {
			return
		}
		r.authNames = append(r.authNames, key.Value)
		path := "auth." + key.Value
		a := Auth{Name: key.Value, Settings: &auth.Settings{}, Key: fingerprint(value)}
		before := len(r.problems)
		r.load(value, path, a.Settings)
		if len(r.problems) == before {
			r.validate(value, key, path, a.Settings)
		}
		plan.Auth = append(plan.Auth, a)
	})
}

// namesAuth is a kind's Config that may name a login. Those with the settings of an HTTP client are some.
type namesAuth interface{ AuthName() string }

// named checks the login that a kind's settings name, and is the login's key; "" where they name none.
func (r *reader) named(plan *Plan, n *yaml.Node, path string, c any) string {
	namer, ok := c.(namesAuth)
	if !ok || namer.AuthName() == "" {
		return ""
	}
	name := namer.AuthName()
	for _, a := range plan.Auth {
		if a.Name == name {
			return " " + a.Key
		}
	}
	path = join(path, "auth")
	switch {
	case r.authNames == nil:
		r.bad(find(n, "auth"), path, "the file has no logins with a name: they stand at its top under auth")
	case Closest(name, r.authNames) == "":
		r.bad(find(n, "auth"), path, "no such login; there are %s", strings.Join(r.authNames, ", ")) // the name may be a secret
	case !slices.Contains(r.authNames, name):
		r.bad(find(n, "auth"), path, "%s", noKind("login", name, r.authNames))
	}
	return ""
}
