// Command plugin is cton with additional kinds: fetchers of environment variables and of databases, and a sink that writes files. The
// database needs a driver: import _ "github.com/microsoft/go-mssqldb" for SQL Server.
package main

import (
	"os"

	"example.com/plugin/database"
	"example.com/plugin/environment"
	"example.com/plugin/textfile"
	"github.com/collectington/collectington/agent"
)

func main() { os.Exit(agent.Main(database.Kind, environment.Kind, textfile.Kind)) }
