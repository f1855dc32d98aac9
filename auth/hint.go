package auth

import "strings"

// refusal is what is known of one OAuth error of the token endpoint. Codes are
// exact; descriptions are free text that drifts, so a part of one is looked
// for, in lower case.
type refusal struct {
	code, contains string
	passing        bool
	hint           string
}

// refusals is searched from the top; the first match counts.
var refusals = []refusal{
	{code: "invalid_grant", contains: "approved", hint: "the user has not been approved for the app: in the app's policies set Permitted Users to \"Admin approved users are pre-authorized\" and assign the user's profile or a permission set; if that is done, set SF_LOGIN_URL to the org's My Domain and check SF_USERNAME and SF_AUDIENCE"},
	{code: "invalid_app_access", hint: "the app is for admin approved users and this one is not: assign the user's profile or a permission set to the app"},
	{code: "invalid_client_id", hint: "check SF_CLIENT_ID (the consumer key, whole); an app that was just created needs up to 10 minutes; an External Client App needs SF_LOGIN_URL to be the org's My Domain"},
	{code: "invalid_grant", contains: "audience", hint: "the audience does not fit the org: https://test.salesforce.com for a sandbox, https://login.salesforce.com for production; set SF_LOGIN_URL to the right host, or SF_AUDIENCE"},
	{code: "invalid_grant", contains: "invalid assertion", hint: "the certificate uploaded to the app does not belong to this private key: upload the certificate that was made with it"},
	{code: "invalid_grant", contains: "expired authorization code", hint: "the assertion had expired when it arrived: set this machine's clock (NTP)"},
	{code: "invalid_grant", contains: "login rate", hint: "the user has logged in more than 3,600 times in an hour; find what else logs in as this user"},
	{code: "rate_limit_exceeded", hint: "the user has logged in more than 3,600 times in an hour; find what else logs in as this user"},
	{code: "invalid_grant", contains: "inactive user", hint: "the user is deactivated or frozen: activate it, or set SF_USERNAME to another"},
	{code: "inactive_user", hint: "the user is deactivated or frozen: activate it, or set SF_USERNAME to another"},
	{code: "inactive_org", hint: "the org is locked, closed or suspended"},
	{code: "invalid_grant", contains: "ip restricted", hint: "the user's profile or the app restricts login addresses or hours: add the address that this machine's traffic leaves from"},
	{code: "invalid_grant", contains: "user", hint: "check SF_USERNAME: it is the username, not the e-mail address, and in a sandbox it ends with the sandbox's name"},
	{code: "invalid_grant", contains: "request not supported on this domain", hint: "set SF_LOGIN_URL to the org's My Domain"},
	{code: "invalid_client", contains: "installed", hint: "the app is not installed in the org: install it, or give the user \"Approve Uninstalled Connected Apps\""},
	{code: "app_not_found", hint: "the org does not know the app: set SF_LOGIN_URL to the org's My Domain, and check that the External Client App is installed there"},
	{code: "oauth_ec_app_not_found", hint: "the org does not know the app: set SF_LOGIN_URL to the org's My Domain, and check that the External Client App is installed there"},
	{code: "oauth_app_blocked", hint: "an admin has blocked the app: unblock it in Connected Apps OAuth Usage"},
	{code: "oauth_app_access_denied", hint: "assign the user's profile or a permission set to the app"},
	{code: "unsupported_grant_type", hint: "the host does not offer the JWT bearer flow at this address; check SF_LOGIN_URL, and that the flow is enabled in the app's settings"},
	{contains: "already being processed", passing: true},
	{code: "unknown_error", passing: true},
	{code: "server_error", passing: true},
	{code: "temporarily_unavailable", passing: true},
	{hint: "the user's Login History in Setup may say more"},
}

// explain returns what is known of an OAuth error.
func explain(code, description string) refusal {
	code, description = strings.ToLower(code), strings.ToLower(description)
	for _, r := range refusals {
		if (r.code == "" || r.code == code) && strings.Contains(description, r.contains) {
			return r
		}
	}
	return refusal{}
}
