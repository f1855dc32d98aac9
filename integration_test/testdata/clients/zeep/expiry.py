"""A legacy app on zeep that goes on and on until its session has expired often enough
under it, and logs in again by what the fault says. Prints "done" at the end.

python3 expiry.py PROXY-URL USERNAME PASSWORD
"""
import os
import sys
import time

import zeep

proxy, username, password = sys.argv[1:]
client = zeep.Client(os.path.join(os.path.dirname(os.path.abspath(__file__)), "partner.wsdl"))
logins, deadline = 0, time.monotonic() + 60


def login():
    global logins, org, headers
    logins += 1
    service = lambda url: client.create_service("{urn:partner.soap.sforce.com}SoapBinding", url)
    session = service(proxy + "/services/Soap/u/60.0").login(username, password)
    org = service(session.serverUrl)
    headers = {"SessionHeader": {"sessionId": session.sessionId}}


def call(operation, *args):
    try:
        return getattr(org, operation)(*args, _soapheaders=headers).body.result
    except zeep.exceptions.Fault as fault:
        assert fault.detail.find(".//{*}exceptionCode").text == "INVALID_SESSION_ID", fault
        login()
        return getattr(org, operation)(*args, _soapheaders=headers).body.result


login()
while logins < 3:
    assert time.monotonic() < deadline, "%d logins in a minute" % logins
    assert call("getUserInfo").userName == "integration@example.com"
    assert call("query", "SELECT Id FROM Account LIMIT 1").size == 1
print("done", flush=True)
