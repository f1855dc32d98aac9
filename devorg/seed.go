package devorg

import (
	"context"
	"fmt"
	"strings"
)

// addUsers makes a User record for each approved user.
func (o *Org) addUsers() {
	o.store.do(o.ctx, func(t *tx) *apiError {
		for _, name := range o.cfg.Users {
			local, _, _ := strings.Cut(name, "@")
			r := t.create(sobjectNamed("User"), map[string]any{
				"Username": name, "Name": local, "Email": name, "IsActive": true,
			}, nil)
			o.users[name] = &user{id: r.id, name: name}
		}
		return nil
	})
}

// owner is the user that records made by the org itself belong to.
func (o *Org) owner() string { return o.users[o.cfg.Users[0]].id }

func (o *Org) addSamples() {
	samples := []struct {
		name, industry, website string
		revenue                 float64
		contacts                [][2]string
	}{
		{"Alder & Birch Timber", "Manufacturing", "https://alder.example", 12_500_000, [][2]string{{"Ines", "Okafor"}, {"Tom", "Lindqvist"}}},
		{"Brightwater Clinics", "Healthcare", "https://brightwater.example", 48_000_000, [][2]string{{"Maya", "Desai"}}},
		{"Cobalt Freight", "Transportation", "https://cobalt.example", 7_300_000, [][2]string{{"Jonas", "Weber"}}},
		{"Dune Energy", "Energy", "https://dune.example", 310_000_000, [][2]string{{"Leila", "Haddad"}}},
		{"Elm Street Bakery", "Food & Beverage", "https://elm.example", 420_000, nil},
	}
	o.store.do(o.ctx, func(t *tx) *apiError {
		for i, s := range samples {
			account := t.create(sobjectNamed("Account"), map[string]any{
				"Name": s.name, "Industry": s.industry, "Website": s.website, "AnnualRevenue": s.revenue,
				"External_Id__c": fmt.Sprintf("ACC-%d", i+1), "OwnerId": o.owner(),
			}, nil)
			for _, c := range s.contacts {
				t.create(sobjectNamed("Contact"), map[string]any{
					"FirstName": c[0], "LastName": c[1], "AccountId": account.id, "OwnerId": o.owner(),
					"Email": strings.ToLower(c[0]+"."+c[1]) + "@" + strings.TrimPrefix(s.website, "https://"),
				}, nil)
			}
		}
		return nil
	})
}

// AddAccounts makes n accounts named "Bulk Account 00001" and on.
func (o *Org) AddAccounts(n int) {
	o.store.do(context.Background(), func(t *tx) *apiError {
		for i := range n {
			t.create(sobjectNamed("Account"), map[string]any{
				"Name": fmt.Sprintf("Bulk Account %05d", i+1), "OwnerId": o.owner(),
			}, nil)
		}
		return nil
	})
}
