// Package process is what the program asks of its operating system and of Go's
// runtime for itself, whatever it serves.
//
//	Harden     no dumps of its memory                              harden.go
//	             memory within the limit of its control group      memorylimit.go
//	             a small heap that is collected seldom             heapgoal.go
//	Erasing    what making a key leaves behind in memory           erase.go
//	OpenFiles  how many files it may have open                     openfiles_unix.go
//	Hangups    SIGHUP                                              hangup_unix.go
//
// Where a system has no such thing, each does nothing and says so in its comment.
package process
