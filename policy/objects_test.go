package policy_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/sfproxy/sfproxy/policy"
)

const (
	readObjects, writeObjects = policy.ReadObjects, policy.WriteObjects
	account                   = "001000000000001AAA"
)

var listed = policy.Config{ReadObjects: []string{"account", "Contact", "Contact.Account.Owner", "Account.Contacts"}, WriteObjects: []string{"Contact"}}

func TestObjectsInSOQL(t *testing.T) {
	for soql, want := range map[string]policy.Rule{
		"SELECT Id FROM Account": "",
		"select id, name from ACCOUNT where name = 'FROM User' limit 5":                              "",
		"SELECT Id FROM Account WHERE Rate__c >.5":                                                   "",
		"SELECT COUNT() FROM Account":                                                                "",
		"SELECT FIELDS(ALL) FROM Account LIMIT 200":                                                  "",
		"SELECT Id FROM User":                                                                        readObjects,
		"SELECT Account.Name FROM Account":                                                           "",
		"SELECT a.Name FROM Account a":                                                               "",
		"SELECT a.Name FROM Account AS a WHERE a.Name = 'x'":                                         "",
		"SELECT Owner.Name FROM Account Owner":                                                       readObjects,
		"SELECT Owner.Name FROM Account":                                                             readObjects,
		"SELECT Account.Name FROM Contact":                                                           "",
		"SELECT Account.Owner.Name FROM Contact":                                                     "",
		"SELECT Account.Owner.Manager.Name FROM Contact":                                             readObjects,
		"SELECT Contact.Account.Owner.Name FROM Contact":                                             "",
		"SELECT Id FROM Contact WHERE CreatedBy.Name LIKE 'a%'":                                      readObjects,
		"SELECT Id FROM Contact ORDER BY CreatedBy.Name":                                             readObjects,
		"SELECT Name, (SELECT LastName FROM Contacts) FROM Account":                                  "",
		"SELECT Name, (SELECT Owner.Name FROM Contacts) FROM Account":                                readObjects,
		"SELECT Name, (SELECT Amount FROM Opportunities) FROM Account":                               readObjects,
		"SELECT Name, (SELECT LastName FROM Account.Contacts) FROM Account":                          readObjects,
		"SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Contact)":                         "",
		"SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Contacts)":                        readObjects,
		"SELECT Id FROM Account WHERE Id NOT IN (SELECT AccountId FROM Opportunity)":                 readObjects,
		"SELECT Id FROM Account WHERE (Name = 'a' OR (Name = 'b')) AND X > 2020-01-01T00:00:00.000Z": "",
		"SELECT Id, TYPEOF Owner WHEN User THEN Name END FROM Account":                               readObjects,
		"SELECT Id FROM Account, Account.Contacts c":                                                 readObjects,
		"SELECT Id FROM Account a, User u":                                                           readObjects,
		"SELECT Id FROM Account WHERE Name = 'it\\'s' AND Id IN (SELECT X FROM User)":                readObjects,
		"SELECT Id FROM Account WHERE Name = \"x\"":                                                  readObjects,
		"SELECT Id FROM Account WHERE Name = 'x":                                                     readObjects,
		"SELECT Id FROM Account)":                                                                    readObjects,
		"SELECT Id FROM Account FROM User":                                                           readObjects,
		"SELECT Owner . Name FROM Account":                                                           readObjects,
		"FIND {x}":                                                                                   readObjects,
		"":                                                                                           readObjects,
	} {
		check(t, listed, []example{{"GET", data + "/query?q=" + url.QueryEscape(soql), "", want}})
	}
}

func TestObjectsInSOSL(t *testing.T) {
	for sosl, want := range map[string]policy.Rule{
		"FIND {Acme} IN ALL FIELDS RETURNING Account(Id, Name WHERE Name LIKE 'A%' LIMIT 3), Contact": "",
		"FIND {a \\} RETURNING User} RETURNING Account":                                               "",
		"FIND 'Acme' RETURNING Account LIMIT 5":                                                       "",
		"FIND {Acme} RETURNING Account, User":                                                         readObjects,
		"FIND {Acme} RETURNING Contact(Account.Name)":                                                 "",
		"FIND {Acme} RETURNING Account(Owner.Name)":                                                   readObjects,
		"FIND {Acme} IN NAME FIELDS":                                                                  readObjects,
		"FIND {Acme RETURNING Account":                                                                readObjects,
	} {
		check(t, listed, []example{{"GET", data + "/search?q=" + url.QueryEscape(sosl), "", want}})
	}
}

func TestObjectsInREST(t *testing.T) {
	check(t, listed, []example{
		{"GET", data + "/sobjects", "", ""},
		{"GET", data + "/limits", "", ""},
		{"GET", data + "/limits/recordCount?sObjects=Account,Contact", "", ""},
		{"GET", data + "/limits/recordCount?sObjects=Account,User", "", readObjects},
		{"GET", data + "/limits/recordCount", "", readObjects},
		{"GET", data + "/sobjects/Account/describe", "", ""},
		{"GET", data + "/sobjects/User/describe", "", readObjects},
		{"GET", data + "/sobjects/Account/" + account, "", ""},
		{"GET", data + "/sobjects/Account.json/" + account, "", readObjects},
		{"GET", data + "/sobjects/Account/" + account + "?fields=Id,Name", "", ""},
		{"GET", data + "/sobjects/Account/" + account + "?fields=Owner.Name", "", readObjects},
		{"GET", data + "/sobjects/Account/" + account + "?fields=Id&fields=Owner.Name", "", policy.Body},
		{"GET", data + "/sobjects/Account/Ext__c/50%25 off", "", ""},
		{"GET", data + "/sobjects/Account/" + account + "/Contacts", "", ""},
		{"GET", data + "/sobjects/Account/" + account + "/Owner", "", readObjects},
		{"GET", data + "/sobjects/Contact/" + account + "/Account/Owner", "", ""},
		{"GET", data + "/sobjects/User/" + account, "", readObjects},
		{"POST", data + "/sobjects/Contact", `{}`, ""},
		{"POST", data + "/sobjects/Account", `{}`, writeObjects},
		{"PATCH", data + "/sobjects/Contact/Ext__c/1", `{}`, ""},
		{"PATCH", data + "/sobjects/Contact/" + account + "/Account", `{}`, readObjects},
		{"POST", data + "/sobjects/Contact/quickActions/NewCase", `{}`, readObjects},
		{"POST", data + "/sobjects/Contact/listviews", `{}`, readObjects},
		{"POST", data + "/composite", composite(request("POST", data+"/sobjects/Contact/quickActions/NewCase")), readObjects},
		{"GET", data + "/sobjects/Contact/suggestedArticles?language=en_US&subject=x", "", readObjects},
		{"GET", data + "/sobjects/Contact/approvalLayouts", "", readObjects}, // as long as an id
		{"GET", data + "/sobjects/Contact/" + account + "/Account/Owner?fields=Name,Manager.Name", "", readObjects},
		{"GET", data + "/sobjects/Contact/" + account + "/Account/Owner?fields=Name", "", ""},
		{"DELETE", data + "/sobjects/Contact/" + account, "", ""},
		{"GET", data + "/ui-api/records/" + account, "", readObjects},
		{"GET", data + "/query/01g000000000001-2000", "", readObjects},
		{"POST", data + "/graphql", graphQL("{a}"), readObjects},
		{"GET", data + "/tooling/sobjects/ApexClass/1", "", readObjects},
		{"GET", "/services/apexrest/x", "", readObjects},
		{"POST", data + "/parameterizedSearch", `{"q":"x","sobjects":[{"name":"Contact","fields":["Id"]}]}`, ""},
		{"POST", data + "/parameterizedSearch", `{"q":"x","sobjects":[{"name":"User"}]}`, readObjects},
		{"POST", data + "/parameterizedSearch", `{"q":"x"}`, readObjects},
		{"POST", data + "/parameterizedSearch", `{"q":"x","fields":["Id","Name"],"sobjects":[{"name":"Contact","orderBy":"Name DESC"}]}`, ""},
		{"POST", data + "/parameterizedSearch", `{"q":"x","fields":["Owner.Name"],"sobjects":[{"name":"Contact"}]}`, readObjects},
		{"POST", data + "/parameterizedSearch", `{"q":"x","sobjects":[{"name":"Contact","orderBy":"Owner.Name"}]}`, readObjects},
		{"POST", data + "/parameterizedSearch", `{"q":"x","sobjects":[{"name":"Contact"}],"other":1}`, readObjects},
		{"POST", data + "/parameterizedSearch?sobject=User&q=x", `{"q":"x","sobjects":[{"name":"Contact"}]}`, readObjects},
		{"POST", data + "/composite/sobjects/Contact?fields=Owner.Name", `{"ids":["1"],"fields":["Id"]}`, readObjects},
		{"POST", data + "/composite", composite(request("GET", data+"/sobjects/Account/"+account), request("DELETE", data+"/sobjects/Contact/"+account)), ""},
		{"POST", data + "/composite", composite(request("GET", data+"/sobjects/User/1")), readObjects},
		{"POST", data + "/composite", composite(`{"method":"GET","url":"` + data + `/sobjects/Account/describe","httpHeaders":{"sforce-call-options":"defaultNamespace=ns"}}`), readObjects},
		{"POST", data + "/composite", composite(request("GET", data+"/sobjects/@{a.id}/1")), policy.Body},
		{"POST", data + "/composite/sobjects", `{"records":[{"attributes":{"type":"Contact"}},{"attributes":{"type":"contact"}}]}`, ""},
		{"POST", data + "/composite/sobjects", `{"records":[{"attributes":{"type":"Contact"}},{"attributes":{"type":"Account"}}]}`, writeObjects},
		{"POST", data + "/composite/sobjects", `{"records":[{"LastName":"x"}]}`, readObjects},
		{"DELETE", data + "/composite/sobjects?ids=1", "", readObjects},
		{"GET", data + "/composite/sobjects/Account?ids=1&fields=Id", "", ""},
		{"GET", data + "/composite/sobjects/User?ids=1&fields=Id", "", readObjects},
		{"POST", data + "/composite/tree/Contact", `{"records":[{"attributes":{"type":"Contact"},"Cases":{"records":[{"attributes":{"type":"Case"}}]}}]}`, writeObjects},
		{"GET", data + "/jobs/query/750000000000001/results", "", readObjects},
		{"POST", data + "/jobs/query", `{"operation":"query","query":"SELECT Id FROM User"}`, readObjects},
		{"POST", data + "/jobs/ingest", `{"operation":"insert","object":"Contact"}`, ""},
		{"POST", data + "/jobs/ingest", `{"operation":"insert","object":"Account"}`, writeObjects},
		{"POST", "/cometd/60.0", `[{"channel":"/meta/subscribe","subscription":"/data/AccountChangeEvent"}]`, ""},
		{"POST", "/cometd/60.0", `[{"channel":"/meta/subscribe","subscription":["/data/AccountChangeEvent","/data/UserChangeEvent"]}]`, readObjects},
		{"POST", "/cometd/60.0", `[{"channel":"/meta/subscribe","subscription":"/data/ChangeEvents"}]`, readObjects},
		{"POST", "/cometd/60.0", `[{"channel":"/meta/subscribe","subscription":"/topic/X"}]`, readObjects},
		{"POST", "/cometd/60.0", `[{"channel":"/meta/subscribe/","subscription":"/data/UserChangeEvent"}]`, readObjects},
	})
}

func TestObjectsInSOAP(t *testing.T) {
	const u = "/services/Soap/u/60.0"
	check(t, listed, []example{
		{"POST", u, partner(`<query><queryString>SELECT Id FROM Account</queryString></query>`), ""},
		{"POST", u, partner(`<query><queryString>SELECT Id FROM User</queryString></query>`), readObjects},
		{"POST", u, partner(`<query><queryString>SELECT Id FROM Account</queryString><queryString>SELECT Id FROM User</queryString></query>`), readObjects},
		{"POST", u, partner(`<search><searchString>FIND {x} RETURNING User</searchString></search>`), readObjects},
		{"POST", u, partner(`<retrieve><fieldList>Id</fieldList><sObjectType>Account</sObjectType></retrieve>`), ""},
		{"POST", u, partner(`<retrieve><fieldList>Owner.Name</fieldList><sObjectType>Account</sObjectType></retrieve>`), readObjects},
		{"POST", u, partner(`<describeSObjects><sObjectType>Account</sObjectType><sObjectType>User</sObjectType></describeSObjects>`), readObjects},
		{"POST", u, partner(`<getUpdated><sObjectTypeEntityType>User</sObjectTypeEntityType></getUpdated>`), readObjects},
		{"POST", u, partner(`<create><sObjects><type>Contact</type></sObjects></create>`), ""},
		{"POST", u, partner(`<create><sObjects><type>Contact</type></sObjects><sObjects><type>Account</type></sObjects></create>`), writeObjects},
		{"POST", u, partner(`<create><sObjects xsi:type="Contact"/></create>`), ""},
		{"POST", u, partner(`<update><sObjects xsi:type="x:Account"><type>Contact</type></sObjects></update>`), writeObjects},
		{"POST", u, partner(`<update><sObjects><Id>1</Id></sObjects></update>`), readObjects},
		{"POST", "/services/Soap/m/60.0", envelope("http://soap.sforce.com/2006/04/metadata", `<listMetadata/>`), ""},
		{"POST", "/services/Soap/m/60.0", envelope("http://soap.sforce.com/2006/04/metadata", `<readMetadata/>`), readObjects},
		{"POST", u, strings.Replace(partner(`<query><queryString>SELECT Id FROM Account</queryString></query>`), "<e:Header>", `<e:Header><CallOptions xmlns="urn:partner.soap.sforce.com"><defaultNamespace>ns</defaultNamespace></CallOptions>`, 1), readObjects},
		{"POST", u, partner(`<delete><ids>003000000000001AAA</ids></delete>`), readObjects},
	})
}

// TestOwnSubject lets a client page through its queries and work on its jobs if
// nobody else acts as its user.
func TestOwnSubject(t *testing.T) {
	own := listed
	own.OwnSubject = true
	check(t, own, []example{
		{"GET", data + "/query/01g000000000001-2000", "", ""},
		{"GET", data + "/jobs/query/750000000000001/results", "", ""},
		{"PUT", data + "/jobs/ingest/750000000000001/batches", "Name\nx\n", ""},
		{"GET", "/services/async/60.0/job/750000000000001/batch/751000000000001/result", "", ""},
		{"POST", "/services/async/60.0/job/750000000000001/batch", "LastName\nx\n", ""},
		{"POST", "/services/async/60.0/job/750000000000001/batch", "SELECT Id FROM User", readObjects},
		{"POST", "/services/Soap/u/60.0", partner(`<queryMore><queryLocator>x</queryLocator></queryMore>`), ""},
	})
}

// TestWriteObjectsAlone holds where nothing is said of reads.
func TestWriteObjectsAlone(t *testing.T) {
	check(t, policy.Config{WriteObjects: []string{"Account"}}, []example{
		{"POST", data + "/sobjects/Account", `{}`, ""},
		{"PATCH", data + "/sobjects/Account/" + account, `{}`, ""},
		{"PATCH", data + "/sobjects/Account/Ext__c/1", `{}`, ""},
		{"POST", data + "/sobjects/Account/quickActions/NewCase", `{}`, writeObjects},
		{"POST", data + "/composite", composite(request("POST", data+"/sobjects/Account/quickActions/NewCase")), writeObjects},
	})
}
