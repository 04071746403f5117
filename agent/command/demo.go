package command

import "context"

type demoCmd struct{}

func (demoCmd) Run(ctx context.Context, a *App) error { return nil }
