module example.com/plugin

go 1.26

require github.com/collectington/collectington v0.0.0
