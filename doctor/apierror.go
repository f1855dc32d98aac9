package doctor

import (
	"slices"

	"github.com/sfproxy/sfproxy/auth"
)

var apiEnabledPath = []string{"Setup → Profiles → (the user's profile) → System Permissions → API Enabled; or the same in a permission set (Setup → Permission Sets)"}

// apiErrors are the errors by which an instance refuses what a token is for.
// It is searched from the top, and the first match counts.
var apiErrors = []auth.Entry{
	{ID: "api-disabled-for-org", Code: "API_DISABLED_FOR_ORG", Seen: "The REST API is not enabled for this Organization.",
		Meaning: "the org or the user has no API access",
		Causes: []auth.Cause{
			{Cause: "the user lacks the permission \"API Enabled\"", Fix: "give the user a permission set with \"API Enabled\"", Where: apiEnabledPath},
			{Cause: "the org's edition has no API (Group, Essentials, Professional without the add-on)",
				Fix: "ask Salesforce for API access", Where: []string{"Setup → Company Information → Organization Edition"}},
		}},
	{ID: "api-disabled-for-user", Code: "API_CURRENTLY_DISABLED", Seen: "API is disabled for this User",
		Meaning: "the user has no API access",
		Causes:  []auth.Cause{{Cause: "the user lacks the permission \"API Enabled\"", Fix: "give the user a permission set with \"API Enabled\"", Where: apiEnabledPath}}},
	{ID: "session-not-for-this-api", Code: "INVALID_SESSION_ID", Contains: []string{"not valid for use"}, Seen: "This session is not valid for use with the REST API",
		Meaning: "a policy of the org keeps this session from the API",
		Causes: []auth.Cause{
			{Cause: "the app has not the scope api", Fix: "add the scope \"Manage user data via APIs (api)\" to the app", Where: []string{
				"External Client App: Setup → External Client App Manager → (app) → Edit Settings → OAuth Settings → OAuth Scopes",
				"Connected App: Setup → App Manager → (app) → Edit → API (Enable OAuth Settings) → Selected OAuth Scopes"}},
			{Cause: "API Access Control allows only approved apps", Fix: "approve the app, and assign the user's profile or a permission set to it", Where: []string{"Setup → API Access Control"}},
			{Cause: "the app demands a high assurance session, which no server can have", Fix: "take that demand back in the app's policies", Where: []string{
				"Setup → Manage Connected Apps → (app) → Edit Policies → Session Policies → High assurance session required"}},
		}},
	{ID: "session-invalid", Code: "INVALID_SESSION_ID", Seen: "Session expired or invalid",
		Meaning: "the org does not take the token that it has just granted",
		Causes: []auth.Cause{
			{Cause: "sessions are locked to the address they began at, and the grant and the API calls leave by different ones",
				Fix: "let all traffic to Salesforce leave by one address, or unlock the sessions", Where: []string{"Setup → Session Settings → Lock sessions to the IP address from which they originated"}},
			{Cause: "login IP ranges are enforced on every request, and this address is in none", Fix: "add the address that this machine's traffic leaves from to the profile's Login IP Ranges",
				Where: []string{"Setup → Profiles → (the user's profile) → Login IP Ranges", "Setup → Session Settings → Enforce login IP ranges on every request"}},
			{Cause: "an admin has ended the session", Fix: "try again", Where: []string{"Setup → Session Management"}},
		}},
	{ID: "concurrent-requests", Code: "REQUEST_LIMIT_EXCEEDED", Contains: []string{"concurrent"}, Seen: "ConcurrentRequests (Concurrent API Requests) Limit exceeded.", Passing: true,
		Meaning: "too many long requests run in the org at once",
		Causes:  []auth.Cause{{Cause: "more than 25 requests (5 in trial and developer orgs) that take 20 seconds or more", Fix: "try again; let the apps send fewer long queries at a time"}}},
	{ID: "request-limit", Code: "REQUEST_LIMIT_EXCEEDED", Seen: "TotalRequests Limit exceeded.",
		Meaning: "the org has used up its API requests of 24 hours",
		Causes:  []auth.Cause{{Cause: "one or more apps call too often", Fix: "find what uses them up, or buy more", Where: []string{"Setup → Company Information → API Requests, Last 24 Hours"}}}},
	{ID: "password-expired", Code: "INVALID_OPERATION_WITH_EXPIRED_PASSWORD", Seen: "The users password has expired, you must call SetPassword before attempting any other API operations",
		Meaning: "the user's password has expired, which keeps the user from the APIs",
		Causes:  []auth.Cause{{Cause: "the password policy of the user's profile", Fix: "give the integration user the permission \"Password Never Expires\", and reset the password once", Where: []string{"Setup → Permission Sets → (permission set) → System Permissions"}}}},
	{ID: "insufficient-access", Code: "INSUFFICIENT_ACCESS", Seen: "insufficient access rights",
		Meaning: "the user lacks a permission for this call",
		Causes: []auth.Cause{
			{Cause: "the call needs a permission that the integration user has not, as \"View Setup and Configuration\" for limits", Fix: "give it to the user if an app needs it",
				Where: []string{"Setup → Permission Sets → (permission set) → System Permissions"}},
			{Cause: "for SOAP login(): the user lacks \"Use Any API Auth\"", Fix: "log in through the proxy, which makes no such call"},
		}},
	{ID: "functionality-not-enabled", Code: "FUNCTIONALITY_NOT_ENABLED",
		Meaning: "the org or the user has not this part of the API",
		Causes:  []auth.Cause{{Cause: "the org's edition or the user's license lacks it", Fix: "nothing, if no app needs it", Where: []string{"Setup → Company Information"}}}},
	{ID: "server-unavailable", Code: "SERVER_UNAVAILABLE", Passing: true,
		Meaning: "the org is under maintenance or overloaded",
		Causes:  []auth.Cause{{Cause: "an outage or a maintenance window", Fix: "see https://status.salesforce.com"}}},
	{ID: "api-other", Meaning: "the instance does not answer as an org's does",
		Causes: []auth.Cause{
			{Cause: "an outage or a maintenance window", Fix: "see https://status.salesforce.com, and try again"},
			{Cause: "the instance URL leads elsewhere", Fix: "unset SF_INSTANCE_URL, or check it"},
		}},
}

// APIErrors returns what is known of the errors of an org's APIs that have to do
// with the set-up.
func APIErrors() []auth.Entry { return slices.Clone(apiErrors) }

// explainAPI returns the first entry that an answer matches; the last matches
// all. An answer that never came is explained by the way to it.
func explainAPI(a answer) auth.Entry {
	if a.err != nil {
		return auth.ExplainTransport(a.err)
	}
	code, message := a.fault()
	for _, e := range apiErrors {
		if e.Matches(code, message) {
			return e
		}
	}
	return auth.Entry{}
}
