//go:build unix && !linux

package process_test

const helperEnv = "PROCESS_TEST_HELPER"

func helper(string) int { return 1 }
