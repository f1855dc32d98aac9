package main

import (
	"fmt"
	"strings"

	"github.com/sfproxy/sfproxy/config"
	"github.com/sfproxy/sfproxy/login"
	"github.com/sfproxy/sfproxy/policy"
	"github.com/sfproxy/sfproxy/proxy"
	"github.com/sfproxy/sfproxy/quota"
	"github.com/sfproxy/sfproxy/telemetry"
)

// newClients returns the clients as those whose requests are forwarded.
func newClients(configured []config.Client) ([]proxy.Client, error) {
	policies, err := newPolicies(configured)
	if err != nil {
		return nil, err
	}
	clients := make([]proxy.Client, 0, len(configured))
	for i, c := range configured {
		key, err := proxy.HashAPIKey(c.APIKey.Reveal())
		if err != nil {
			return nil, usageError{fmt.Errorf("client %s: %w", c.Name, err)}
		}
		reserve, err := quota.ParseReserve(c.APIReserve)
		if err != nil {
			return nil, usageError{fmt.Errorf("client %s: API_RESERVE %w", c.Name, err)}
		}
		clients = append(clients, proxy.Client{Name: c.Name, Subject: c.Subject, APIKey: key, CertName: c.CertName, Policy: policies[i], Reserve: reserve, MaxRequests: c.MaxRequests})
	}
	return clients, nil
}

// newPolicies returns what each client may do, in their order; nil stands for
// everything.
func newPolicies(configured []config.Client) ([]*policy.Policy, error) {
	users := map[string]int{} // how many clients act as each
	for _, c := range configured {
		users[strings.ToLower(c.Subject)]++
	}
	policies := make([]*policy.Policy, len(configured))
	for i, c := range configured {
		if !c.ReadOnly && c.AllowPaths == nil && c.ReadObjects == nil && c.WriteObjects == nil && c.APIVersions == "" {
			continue // so that nothing is looked at
		}
		var err error
		policies[i], err = policy.New(policy.Config{ReadOnly: c.ReadOnly, AllowPaths: c.AllowPaths, ReadObjects: c.ReadObjects,
			WriteObjects: c.WriteObjects, APIVersions: c.APIVersions, OwnSubject: users[strings.ToLower(c.Subject)] == 1})
		if err != nil {
			return nil, usageError{fmt.Errorf("client %s: %w", c.Name, err)}
		}
	}
	return policies, nil
}

// reservesOf returns the reserves of clients by their names. Without clients there
// is a nameless one, with byDefault.
func reservesOf(clients []proxy.Client, byDefault quota.Reserve) map[string]quota.Reserve {
	if len(clients) == 0 {
		return map[string]quota.Reserve{"": byDefault}
	}
	reserves := make(map[string]quota.Reserve, len(clients))
	for _, c := range clients {
		reserves[c.Name] = c.Reserve
	}
	return reserves
}

// newAccounts returns the clients as those who log in.
func newAccounts(clients []config.Client) ([]login.Account, error) {
	accounts := make([]login.Account, 0, len(clients))
	for _, c := range clients {
		apiKey, err := proxy.HashAPIKey(c.APIKey.Reveal())
		if err != nil {
			return nil, usageError{fmt.Errorf("client %s: %w", c.Name, err)}
		}
		password, securityToken := c.Password.Reveal(), c.SecurityToken.Reveal()
		accounts = append(accounts, login.Account{Client: c.Name, Subject: c.Subject, Username: c.Username,
			Password: login.HashOf(password), PasswordAndToken: login.HashOf(password, securityToken),
			ConsumerKey: c.ConsumerKey, ConsumerSecret: login.HashOf(c.ConsumerSecret.Reveal()), APIKey: login.Hash(apiKey)})
	}
	return accounts, nil
}

// subjectsOf returns the subjects that the configuration names.
func subjectsOf(cfg *config.Config) *telemetry.Subjects {
	subjects := telemetry.NewSubjects(cfg.Salesforce.Username)
	for _, c := range cfg.Clients {
		subjects.Add(c.Name, c.Subject)
	}
	return subjects
}
