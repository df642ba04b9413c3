package power

func enterGate() error { return nil }
