// Command browser opens a page in a headless Chromium of its own, waits until
// the page's title is "done", and prints the text of its body. What it is asked
// for in its arguments are Chromium's flags, as name=value, and then the URL.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/chromedp/chromedp"
)

func main() {
	text, err := open(os.Args[1:len(os.Args)-1], os.Args[len(os.Args)-1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "browser:", err)
		os.Exit(1)
	}
	fmt.Println(text)
}

func open(flags []string, url string) (text string, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.DisableGPU, // as in a container
		chromedp.Flag("disable-background-networking", true))
	for _, flag := range flags {
		name, value, _ := strings.Cut(flag, "=")
		options = append(options, chromedp.Flag(name, value))
	}
	ctx, closeBrowser := chromedp.NewExecAllocator(ctx, options...)
	defer closeBrowser()
	ctx, closeTab := chromedp.NewContext(ctx)
	defer closeTab()
	err = chromedp.Run(ctx,
		chromedp.Navigate(url),
		// Not by animation frames, of which a page behind another window has none.
		chromedp.Poll(`document.title === "done"`, nil, chromedp.WithPollingInterval(20*time.Millisecond)),
		chromedp.Evaluate(`document.body.textContent`, &text))
	if err != nil {
		return "", err
	}
	return text, chromedp.Cancel(ctx) // lets the browser end by itself, and leave its directories alone
}
