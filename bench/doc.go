// Command bench measures what sfproxy costs next to other proxies that put a
// constant header on requests: CPU a request above all, then throughput, added
// latency, memory, allocations and the time to start. README.md says how, and
// holds the last table.
//
//	go run ./bench
//
// One process directs (bench.go). All others are its children: the upstream
// (upstream.go), the load (load.go, pace.go) and the peers (peer.go and one file
// each), so that the CPU time of a peer is that of its processes alone.
package main
