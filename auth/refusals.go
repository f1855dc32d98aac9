package auth

import "time"

// rateWindow is how long to stay away after too many logins. Salesforce counts
// those of the last hour, so that some are forgotten at any time.
const rateWindow = 5 * time.Minute

// Menu paths in Setup. (app) and (user) stand for a name in a list. Words are
// those of Salesforce Help, of an External Client App and of a Connected App.
var (
	policiesPath = []string{
		`External Client App: Setup → External Client App Manager → (app) → Edit Policies → OAuth Policies → Permitted Users = "Admin approved users are pre-authorized"; then App Policies → Select Profiles or Select Permission Sets`,
		`Connected App: Setup → Manage Connected Apps → (app) → Edit Policies → Permitted Users = "Admin approved users are pre-authorized"; then Manage Profiles or Manage Permission Sets on the app's page`,
	}
	certificatePath = []string{
		"External Client App: Setup → External Client App Manager → (app) → Edit Settings → OAuth Settings → Flow Enablement → Enable JWT Bearer Flow → Upload Files",
		"Connected App: Setup → App Manager → (app) → Edit → API (Enable OAuth Settings) → Use digital signatures → Choose File",
	}
	consumerKeyPath = []string{
		"External Client App: Setup → External Client App Manager → (app) → Settings → OAuth Settings → Consumer Key and Secret",
		"Connected App: Setup → App Manager → (app) → View → Manage Consumer Details",
	}
	scopesPath = []string{
		"External Client App: Setup → External Client App Manager → (app) → Edit Settings → OAuth Settings → OAuth Scopes",
		"Connected App: Setup → App Manager → (app) → Edit → API (Enable OAuth Settings) → Selected OAuth Scopes",
	}
	callbackPath = []string{
		"External Client App: Setup → External Client App Manager → (app) → Edit Settings → OAuth Settings → Callback URL",
		"Connected App: Setup → App Manager → (app) → Edit → API (Enable OAuth Settings) → Callback URL",
	}
	usagePath        = []string{"Setup → Connected Apps OAuth Usage → (app)"}
	myDomainPath     = []string{"Setup → My Domain → Current My Domain URL"}
	usersPath        = []string{"Setup → Users → (user)"}
	ipRangesPath     = []string{"Setup → Profiles → (the user's profile) → Login IP Ranges"}
	loginHoursPath   = []string{"Setup → Profiles → (the user's profile) → Login Hours"}
	loginHistoryPath = []string{"Setup → Users → (user) → Login History"}
)

// SelfApproval is the cause whose remedy is up to the user, not to an admin: to
// approve the app in a browser.
const SelfApproval = "Permitted Users is \"All users can self-authorize\", and the user has not approved the app in a browser yet"

// Causes that more than one error has.
var (
	hostIsNotMyDomain = Cause{
		Cause: "SF_LOGIN_URL is not the org's own My Domain, which External Client Apps and some orgs' policies demand",
		Fix:   "set SF_LOGIN_URL to the org's My Domain, such as https://example.my.salesforce.com",
		Where: myDomainPath,
	}
	wrongUser = Cause{
		Cause: "SF_USERNAME is not a user of this org: it is an e-mail address, or lacks the sandbox's name at its end",
		Fix:   "check SF_USERNAME: it is the Username of the user's page, not the e-mail address, and in a sandbox it ends with the sandbox's name",
		Where: usersPath,
	}
	seeLoginHistory = Cause{
		Cause: "something that the token endpoint does not tell",
		Fix:   "look into the user's Login History, which words the reason more clearly",
		Where: loginHistoryPath,
	}
	notAssigned = Cause{
		Cause: "the app is for admin approved users, and neither the user's profile nor a permission set of the user is assigned to it",
		Fix:   "assign the user's profile or a permission set to the app",
		Where: policiesPath,
	}
	appNotInstalled = Cause{
		Cause: "the app is not installed in this org; since September 2025 such apps are refused",
		Fix:   "install the app, or give the user the permission \"Approve Uninstalled Connected Apps\" to try it out",
		Where: usagePath,
	}
	appNotHere = []Cause{
		hostIsNotMyDomain,
		{Cause: "the app belongs to another org and is not packaged or installed in this one",
			Fix: "install the app in this org, or create one here and set SF_CLIENT_ID to its consumer key", Where: consumerKeyPath},
		notAssigned,
	}
	tooManyLogins = []Cause{
		{Cause: "more than 3,600 logins of this user within an hour",
			Fix: "find what else logs in as this user in a loop, or give it a user of its own; the limit clears within the hour", Where: loginHistoryPath},
	}
	userInactive = []Cause{
		{Cause: "the user was deactivated", Fix: "activate the user, or set SF_USERNAME to another",
			Where: []string{"Setup → Users → (user) → Edit → Active"}},
		{Cause: "the user is frozen", Fix: "unfreeze the user",
			Where: []string{"Setup → Users → (user) → Unfreeze"}},
	}
	otherGrant = []Cause{
		{Cause: "a gateway between sfproxy and Salesforce replaces the request: sfproxy sends no password, code, secret or refresh token",
			Fix: "check that SF_LOGIN_URL leads to Salesforce itself, and look into the user's Login History", Where: loginHistoryPath},
	}
	tryAgain = []Cause{{Cause: "a passing fault at Salesforce", Fix: "nothing; sfproxy tries again by itself (https://status.salesforce.com tells of outages)"}}
)

// refusals are the token endpoint's OAuth errors. It is searched from the top,
// and the first match counts.
var refusals = []Entry{
	{ID: "being-processed", Contains: []string{"already being processed"}, Seen: "token request is already being processed", Passing: true,
		Meaning: "Salesforce is still at work on an earlier request", Causes: tryAgain},

	{ID: "user-not-approved", Code: "invalid_grant", Contains: []string{"approved"}, Seen: "user hasn't approved this consumer",
		Meaning: "the user has not been approved for the app",
		Causes: []Cause{
			{Cause: "the app lets in users whom an admin has approved, and neither the user's profile nor a permission set of the user is assigned to it",
				Fix:   "in the app's policies set Permitted Users to \"Admin approved users are pre-authorized\" and assign the user's profile or a permission set",
				Where: policiesPath},
			{Cause: SelfApproval,
				Fix: "approve the app once in a browser, logged in as this user: sfproxy doctor prints the URL to open"},
			hostIsNotMyDomain,
			wrongUser,
			{Cause: "the audience is that of the other kind of org", Fix: "set SF_AUDIENCE to https://login.salesforce.com for production and to https://test.salesforce.com for a sandbox"},
			seeLoginHistory,
		}},
	{ID: "user-not-admin-approved", Code: "invalid_app_access", Seen: "user is not admin approved to access this app",
		Meaning: "the app is for admin approved users and this one is not", Causes: []Cause{notAssigned, wrongUser}},
	{ID: "consumer-key-unknown", Code: "invalid_client_id", Seen: "client identifier invalid", Key: true,
		Meaning: "this host knows no app with the consumer key",
		Causes: []Cause{
			{Cause: "the consumer key is wrong or cut short", Fix: "check SF_CLIENT_ID (the consumer key, whole)", Where: consumerKeyPath},
			{Cause: "the app was created or changed a moment ago", Fix: "wait: an app that was just saved needs up to 10 minutes"},
			hostIsNotMyDomain,
			{Cause: "the app belongs to another org, a sandbox's production org for instance",
				Fix: "set SF_CLIENT_ID to the consumer key of the app in this org, or SF_LOGIN_URL to the org of the app", Where: consumerKeyPath},
		}},
	{ID: "audience-invalid", Code: "invalid_grant", Contains: []string{"audience"}, Seen: "audience is invalid",
		Meaning: "the audience does not fit the org",
		Causes: []Cause{
			{Cause: "production and sandbox are mixed up",
				Fix: "set SF_LOGIN_URL to the right host, or SF_AUDIENCE: https://test.salesforce.com for a sandbox or scratch org, https://login.salesforce.com for production"},
			{Cause: "SF_AUDIENCE is a My Domain, which some orgs refuse", Fix: "unset SF_AUDIENCE, so that it follows from SF_LOGIN_URL"},
			{Cause: "the org is behind an Experience Cloud site, whose users need the site as the audience", Fix: "set SF_AUDIENCE to the site's URL"},
		}},
	{ID: "assertion-invalid", Code: "invalid_grant", Contains: []string{"invalid assertion"}, Seen: "invalid assertion", Key: true,
		Meaning: "the certificate uploaded to the app does not belong to this private key",
		Causes: []Cause{
			{Cause: "another certificate was uploaded, or the key was replaced and the certificate not",
				Fix: "upload the certificate that was made with this key", Where: certificatePath},
			{Cause: "the certificate was uploaded a moment ago", Fix: "wait: an app that was just saved needs up to 10 minutes"},
			{Cause: "no certificate was uploaded, or the JWT bearer flow is not enabled", Fix: "enable the flow and upload the certificate", Where: certificatePath},
			{Cause: "the same assertion arrived twice, by way of a gateway that repeats requests", Fix: "let nothing between sfproxy and Salesforce repeat POST requests"},
		}},
	{ID: "assertion-expired", Code: "invalid_grant", Contains: []string{"expired authorization code"}, Seen: "expired authorization code",
		Meaning: "the assertion had expired when it arrived",
		Causes: []Cause{
			{Cause: "this machine's clock is off, and the host's answers carry no Date to correct it by", Fix: "set this machine's clock (NTP)"},
			{Cause: "the request was held up on its way for minutes", Fix: "look for a gateway that queues requests"},
		}},
	{ID: "login-rate-exceeded", Code: "invalid_grant", Contains: []string{"login rate"}, Seen: "login rate exceeded", Clears: rateWindow,
		Meaning: "the user has logged in more than 3,600 times in an hour", Causes: tooManyLogins},
	{ID: "rate-limit-exceeded", Code: "rate_limit_exceeded", Seen: "number of logins exceeded", Clears: rateWindow,
		Meaning: "the user has logged in more than 3,600 times in an hour", Causes: tooManyLogins},
	{ID: "user-inactive", Code: "invalid_grant", Contains: []string{"inactive user", "user is inactive"}, Seen: "inactive user",
		Meaning: "the user is deactivated or frozen", Causes: userInactive},
	{ID: "inactive-user", Code: "inactive_user", Seen: "user is inactive",
		Meaning: "the user is deactivated or frozen", Causes: userInactive},
	{ID: "org-inactive", Code: "inactive_org", Seen: "organization is locked, closed, or suspended",
		Meaning: "the org is locked, closed or suspended",
		Causes: []Cause{
			{Cause: "a trial, a scratch org or a developer org has come to its end", Fix: "set SF_LOGIN_URL, SF_CLIENT_ID and SF_USERNAME to those of a living org"},
			{Cause: "Salesforce has suspended the org", Fix: "ask the org's owner, or Salesforce Support"},
		}},
	{ID: "ip-restricted", Code: "invalid_grant", Contains: []string{"ip restricted", "login hours"}, Seen: "ip restricted",
		Meaning: "the user may not log in from this address, or not in these hours",
		Causes: []Cause{
			{Cause: "the profile's Login IP Ranges lack the address that this machine's traffic leaves from; the JWT bearer flow heeds them even where the app relaxes IP restrictions",
				Fix: "add the address that this machine's traffic leaves from to the Login IP Ranges of the user's profile, and see its Login Hours", Where: ipRangesPath},
			{Cause: "the profile's Login Hours", Fix: "extend them to when the proxy works", Where: loginHoursPath},
			{Cause: "the address is not clear", Fix: "read the Source IP of the failed login in the user's Login History", Where: loginHistoryPath},
		}},
	{ID: "password-refused", Code: "invalid_grant", Contains: []string{"authentication failure"}, Seen: "authentication failure",
		Meaning: "this is the answer to a login with a password", Causes: otherGrant},
	{ID: "refresh-token-expired", Code: "invalid_grant", Contains: []string{"expired access/refresh token"}, Seen: "expired access/refresh token",
		Meaning: "this is the answer to a refresh token", Causes: otherGrant},
	{ID: "no-run-as-user", Code: "invalid_grant", Contains: []string{"no client credentials user"}, Seen: "no client credentials user enabled",
		Meaning: "this is the answer to the client credentials flow, which has no SF_USERNAME", Causes: otherGrant},
	{ID: "user-unknown", Code: "invalid_grant", Contains: []string{"user"}, Seen: "invalid user",
		Meaning: "the org has no such user", Causes: []Cause{wrongUser, hostIsNotMyDomain}},
	{ID: "domain-not-supported", Code: "invalid_grant", Contains: []string{"request not supported on this domain"}, Seen: "request not supported on this domain",
		Meaning: "the host does not take this request", Causes: []Cause{hostIsNotMyDomain}},
	{ID: "invalid-grant", Code: "invalid_grant", Key: true,
		Meaning: "the org refuses the assertion for a reason that is not known here", Causes: []Cause{
			{Cause: "something that the token endpoint does not tell", Fix: "look into the user's Login History, which words the reason more clearly", Where: loginHistoryPath},
			{Cause: "the certificate uploaded to the app does not belong to this private key", Fix: "upload the certificate that was made with this key", Where: certificatePath},
			wrongUser,
		}},

	{ID: "grant-type-unsupported", Code: "unsupported_grant_type", Seen: "grant type not supported",
		Meaning: "the host does not offer the JWT bearer flow at this address",
		Causes: []Cause{
			{Cause: "SF_LOGIN_URL leads elsewhere than to a login host", Fix: "check SF_LOGIN_URL: it is the login host alone, best the org's My Domain", Where: myDomainPath},
			{Cause: "the flow is not enabled for the app", Fix: "enable the JWT bearer flow and upload the certificate", Where: certificatePath},
			{Cause: "a gateway rewrites the body of the request", Fix: "let the request through as it is: application/x-www-form-urlencoded"},
		}},
	{ID: "app-must-be-installed", Code: "invalid_client", Contains: []string{"installed"}, Seen: "app must be installed into org",
		Meaning: "the app is not installed in the org", Causes: []Cause{appNotInstalled, hostIsNotMyDomain}},
	{ID: "client-credentials-invalid", Code: "invalid_client", Seen: "invalid client credentials",
		Meaning: "this is the answer to a wrong consumer secret, which sfproxy does not send", Causes: otherGrant},
	{ID: "app-not-found", Code: "app_not_found", Seen: "External client app is not installed in this org",
		Meaning: "the org does not know the app", Causes: appNotHere},
	{ID: "external-client-app-not-found", Code: "OAUTH_EC_APP_NOT_FOUND", Seen: "External client app is not installed in this org",
		Meaning: "the org does not know the app", Causes: appNotHere},
	{ID: "app-blocked", Code: "OAUTH_APP_BLOCKED", Seen: "this app is blocked by admin",
		Meaning: "an admin has blocked the app",
		Causes: []Cause{
			{Cause: "the app is blocked on the usage page", Fix: "unblock it in Connected Apps OAuth Usage", Where: []string{"Setup → Connected Apps OAuth Usage → (app) → Unblock"}},
			{Cause: "API Access Control allows only approved apps", Fix: "approve the app, and assign the user's profile or a permission set to it", Where: []string{"Setup → API Access Control"}},
		}},
	{ID: "app-access-denied", Code: "OAUTH_APP_ACCESS_DENIED", Seen: "user is not admin approved to access this app",
		Meaning: "the app is for admin approved users and this one is not", Causes: []Cause{notAssigned, wrongUser}},
	{ID: "approval-error", Code: "OAUTH_APPROVAL_ERROR_GENERIC", Seen: "An unexpected error has occured during authentication. Please try again.",
		Meaning: "the app could not be approved", Causes: []Cause{appNotInstalled, seeLoginHistory}},
	{ID: "scope-invalid", Code: "invalid_scope", Seen: "requested scope is invalid, unknown, or malformed",
		Meaning: "the app's scopes do not allow a token",
		Causes: []Cause{{Cause: "the app has no scope besides refresh_token", Fix: "give the app the scopes \"Manage user data via APIs (api)\" and \"Perform requests at any time (refresh_token, offline_access)\"", Where: scopesPath},
			seeLoginHistory}},
	{ID: "request-invalid", Code: "invalid_request", Seen: "HTTPS required",
		Meaning: "the request arrived in another form than sfproxy sent it",
		Causes: []Cause{{Cause: "a gateway between sfproxy and Salesforce rewrites requests, or SF_LOGIN_URL is http", Fix: "set SF_LOGIN_URL to the https address of the login host, and let the request through as it is"},
			seeLoginHistory}},
	{ID: "access-denied", Code: "access_denied", Meaning: "this is an answer of the browser's login", Causes: otherGrant},
	{ID: "redirect-uri-mismatch", Code: "redirect_uri_mismatch",
		Meaning: "the callback is none of the app's",
		Causes: []Cause{{Cause: "in a browser, on the way to approve the app: the callback in the URL is not one of the app's callback URLs",
			Fix: "run sfproxy doctor --callback with one of the app's callback URLs", Where: callbackPath}}},
	{ID: "redirect-uri-missing", Code: "redirect_uri_missing", Meaning: "this is an answer of the browser's login", Causes: otherGrant},
	{ID: "response-type-unsupported", Code: "unsupported_response_type", Meaning: "this is an answer of the browser's login", Causes: otherGrant},
	{ID: "immediate-unsuccessful", Code: "immediate_unsuccessful", Meaning: "this is an answer of the browser's login", Causes: otherGrant},

	{ID: "unknown-error", Code: "unknown_error", Seen: "retry your request", Passing: true, Meaning: "Salesforce has a passing fault", Causes: tryAgain},
	{ID: "server-error", Code: "server_error", Passing: true, Meaning: "Salesforce has a passing fault", Causes: tryAgain},
	{ID: "temporarily-unavailable", Code: "temporarily_unavailable", Passing: true, Meaning: "Salesforce has a passing fault", Causes: tryAgain},

	{ID: "other", Meaning: "the org refuses the assertion with an error that is not known here", Causes: []Cause{seeLoginHistory}},
}
