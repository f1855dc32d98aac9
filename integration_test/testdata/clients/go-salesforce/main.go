// A legacy app in miniature: the client go-salesforce with its domain at the
// proxy, and an access token that is none of Salesforce's or a username and a
// password that are not.
//
//	crud PROXY-URL ACCESS-TOKEN
//	crud PROXY-URL USERNAME PASSWORD SECURITY-TOKEN
//
// Prints "next: STEP" before each step and waits for a line on stdin, so that
// whoever runs it can change the org in between; "done" at the end.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"github.com/k-capehart/go-salesforce/v3"
)

func main() {
	creds := salesforce.Creds{Domain: os.Args[1]}
	if args := os.Args[2:]; len(args) == 1 {
		creds.AccessToken = args[0]
	} else {
		creds.Username, creds.Password, creds.SecurityToken = args[0], args[1], args[2]
		creds.ConsumerKey, creds.ConsumerSecret = "legacy", "its secret"
	}
	if err := crud(creds); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("done")
}

type account struct {
	Id       string
	Name     string
	Industry string
}

func crud(creds salesforce.Creds) error {
	input := bufio.NewScanner(os.Stdin)
	next := func(step string) { fmt.Println("next:", step); input.Scan() }

	next("init")
	sf, err := salesforce.Init(creds)
	if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	next("create")
	created, err := sf.InsertOne("Account", map[string]any{"Name": "Acme Rockets"})
	if err != nil || !created.Success {
		return fmt.Errorf("create: %+v, %v", created, err)
	}
	next("update")
	if err := sf.UpdateOne("Account", account{Id: created.Id, Name: "Acme Rockets", Industry: "Energy"}); err != nil {
		return fmt.Errorf("update: %w", err)
	}
	next("query")
	var found []account
	if err := sf.Query("SELECT Id, Name, Industry FROM Account WHERE Name = 'Acme Rockets'", &found); err != nil {
		return fmt.Errorf("query: %w", err)
	}
	if len(found) != 1 || found[0] != (account{created.Id, "Acme Rockets", "Energy"}) {
		return fmt.Errorf("query: found %+v, want the updated account", found)
	}
	next("all pages")
	var bulk []account
	if err := sf.Query("SELECT Id, Name FROM Account WHERE Name LIKE 'Bulk Account%'", &bulk); err != nil {
		return fmt.Errorf("query of all pages: %w", err)
	}
	if len(bulk) != 2500 {
		return fmt.Errorf("query of all pages: found %d, want 2500", len(bulk))
	}
	next("collections")
	contacts := make([]map[string]any, 30)
	for i := range contacts {
		contacts[i] = map[string]any{"LastName": fmt.Sprintf("Rocket %d", i), "AccountId": created.Id}
	}
	if made, err := sf.InsertCollection("Contact", contacts, 20); err != nil || made.HasSalesforceErrors || len(made.Results) != 30 {
		return fmt.Errorf("collections: %+v, %v", made, err)
	}
	next("bulk")
	loads, err := sf.InsertBulk("Contact", contacts, 1000, true)
	if err != nil || len(loads) != 1 {
		return fmt.Errorf("bulk: %q, %w", loads, err)
	}
	if loaded, err := sf.GetJobResults(loads[0]); err != nil || loaded.NumberRecordsFailed != 0 || len(loaded.SuccessfulRecords) != 30 {
		return fmt.Errorf("bulk: %+v, %v", loaded, err)
	}
	next("error")
	if err := sf.Query("SELECT FROM Account", &found); err == nil || !strings.Contains(err.Error(), `"errorCode":"MALFORMED_QUERY"`) {
		return fmt.Errorf("a bad query: error %v, want Salesforce's MALFORMED_QUERY", err)
	}
	next("delete")
	if err := sf.DeleteOne("Account", account{Id: created.Id}); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	if err := sf.DeleteOne("Account", account{Id: created.Id}); err == nil {
		return fmt.Errorf("a second delete succeeded")
	}
	return nil
}
