// Package watch tells when files have changed: when an editor or a script has
// written them in place, when another file was moved over them, when a symbolic
// link on the way to them leads elsewhere (as in a Kubernetes volume), and when
// they vanish or appear.
//
// The system's notifications say when to look, and a slow poll looks where
// there are none, as on NFS and in some containers. What counts is the content:
// a file that was written again as it was has not changed.
package watch
