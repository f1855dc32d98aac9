"""A legacy app on zeep: it knows a contract, a login URL, a username and a password.

python3 legacy.py PROXY-URL USERNAME PASSWORD [API-VERSION]

Prints "next: STEP" before each step and waits for a line on stdin, so that whoever runs it
can change the org in between; "done" at the end. A failed check ends it with status 1.
"""
import io
import os
import sys

import zeep
from lxml import etree

PARTNER = "{urn:partner.soap.sforce.com}"
SOBJECT = "{urn:sobject.partner.soap.sforce.com}"

proxy, username, password = sys.argv[1:4]
version = (sys.argv[4:] + ["60.0"])[0]
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "partner.wsdl"), "rb") as f:
    contract = f.readlines()
old = float(version) < 40
if old:
    contract = [l for l in contract if b'"chatterExternal"' not in l and b'"orgDefaultCurrencyLocale"' not in l]
client = zeep.Client(io.BytesIO(b"".join(contract)))
SObject = client.get_type(SOBJECT + "sObject")


def step(name):
    print("next: " + name, flush=True)
    sys.stdin.readline()


def service(url):
    return client.create_service(PARTNER + "SoapBinding", url)


def field(name, value):
    element = etree.Element(SOBJECT + name)
    element.text = value
    return element


def account(id=None, **fields):
    return SObject(type="Account", Id=id or zeep.xsd.SkipValue, _value_1=[field(k, v) for k, v in fields.items()])


def value(record, name):
    return [e.text for e in record._value_1 if e.tag == SOBJECT + name][0]


def refused(call, code, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except zeep.exceptions.Fault as fault:
        assert fault.code.split(":")[-1] == code, (fault.code, fault.message)
        assert fault.message.startswith(code + ": "), fault.message
        assert fault.detail.find(".//{*}exceptionCode").text == code, etree.tostring(fault.detail)
        return
    raise AssertionError("no fault, want " + code)


def main():
    step("wrong password")
    login = service(proxy + "/services/Soap/u/" + version)
    refused(login.login, "INVALID_LOGIN", username, password + "x")

    step("login")
    session = login.login(username, password)
    assert session.serverUrl.startswith(proxy + "/services/Soap/u/" + version + "/00D"), session.serverUrl
    assert session.metadataServerUrl.startswith(proxy + "/services/Soap/m/" + version + "/00D"), session.metadataServerUrl
    assert not session.passwordExpired and session.userInfo.userName == "integration@example.com", session.userInfo
    assert session.userInfo.sessionSecondsValid > 0 and session.userInfo.userId == session.userId
    org = service(session.serverUrl)
    headers = {
        "_soapheaders": {
            "SessionHeader": {"sessionId": session.sessionId},
            "CallOptions": {"client": "legacy/1.0", "defaultNamespace": zeep.xsd.Nil},
        }
    }

    def body(answer):
        return answer.body.result

    step("user")
    if not old:  # whose contract has not all of the answer's elements
        assert body(org.getUserInfo(**headers)).userName == "integration@example.com"

    step("create")
    created = body(org.create([account(Name="Acme & <Söhne>"), account(Phone="1")], **headers))
    assert [r.success for r in created] == [True, False], created
    assert created[1].errors[0].statusCode == "REQUIRED_FIELD_MISSING", created
    id = created[0].id

    step("query")
    found = body(org.query("SELECT Id, Name FROM Account WHERE Name LIKE 'Acme &%'", **headers))
    assert found.size == 1 and found.done and value(found.records[0], "Name") == "Acme & <Söhne>", found

    step("update")
    updated = body(org.update([account(id=id, Name="Acme ✓")], **headers))
    assert updated[0].success, updated
    found = body(org.query("SELECT Id, Name FROM Account WHERE Name = 'Acme ✓'", **headers))
    assert found.size == 1 and found.records[0].Id == id, found

    step("first page")
    page = body(org.query("SELECT Name FROM Account WHERE Name LIKE 'Bulk Account%' ORDER BY Name", **headers))
    assert page.size == 2500 and not page.done, page.size
    names = [value(r, "Name") for r in page.records]

    step("next pages")
    while not page.done:
        page = body(org.queryMore(page.queryLocator, **headers))
        names += [value(r, "Name") for r in page.records]
    assert names == ["Bulk Account %05d" % n for n in range(1, 2501)], len(names)

    step("error")
    refused(org.query, "MALFORMED_QUERY", "SELECT FROM Account", **headers)

    step("delete")
    assert body(org.delete([id], **headers))[0].success
    assert body(org.delete([id], **headers))[0].errors[0].statusCode == "ENTITY_IS_DELETED"

    step("logout")
    org.logout(**headers)
    refused(org.query, "INVALID_SESSION_ID", "SELECT Id FROM Account", **headers)
    refused(org.logout, "INVALID_SESSION_ID", **headers)
    print("done", flush=True)


main()
