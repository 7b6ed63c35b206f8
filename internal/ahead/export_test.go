package ahead

// IsClosing reports whether Close has begun.
func (l *Line[J]) IsClosing() bool { return l.closing.Load() }
