package devorg

import "strings"

// A sobject is one kind of record.
type sobject struct {
	name, label, plural string
	prefix              string // first three characters of its ids
	fixed               bool   // cannot be written
	fields              []*field
}

// A field is one column of a sobject.
type field struct {
	name, label string
	kind        kind
	length      int
	required    bool
	readOnly    bool
	externalID  bool
	refersTo    string // the sobject, for a reference
	relation    string // the name by which SOQL reaches it
}

// A kind is a field's type as describe names it.
type kind string

const (
	kindID        kind = "id"
	kindString    kind = "string"
	kindTextArea  kind = "textarea"
	kindPhone     kind = "phone"
	kindURL       kind = "url"
	kindEmail     kind = "email"
	kindPicklist  kind = "picklist"
	kindDouble    kind = "double"
	kindInt       kind = "int"
	kindBoolean   kind = "boolean"
	kindReference kind = "reference"
	kindDatetime  kind = "datetime"
	kindBlob      kind = "base64"
)

// filterable reports whether SOQL may compare the field, or sort by it.
func (f *field) filterable() bool {
	return f.kind != kindBlob && (f.kind != kindTextArea || f.length <= 255)
}

// group is what SOQL literals are matched against.
func (f *field) isText() bool {
	switch f.kind {
	case kindDouble, kindInt, kindBoolean, kindDatetime, kindBlob:
		return false
	}
	return true
}

func (s *sobject) field(name string) *field {
	for _, f := range s.fields {
		if strings.EqualFold(f.name, name) {
			return f
		}
	}
	return nil
}

// related returns the reference that SOQL reaches by a relationship name.
func (s *sobject) related(name string) *field {
	for _, f := range s.fields {
		if f.relation != "" && strings.EqualFold(f.relation, name) {
			return f
		}
	}
	return nil
}

func (s *sobject) blob() *field {
	for _, f := range s.fields {
		if f.kind == kindBlob {
			return f
		}
	}
	return nil
}

// systemFields surround the fields of each sobject.
func withSystemFields(own ...*field) []*field {
	fields := append([]*field{{name: "Id", label: "Record ID", kind: kindID, length: 18, readOnly: true}}, own...)
	return append(fields,
		&field{name: "OwnerId", label: "Owner ID", kind: kindReference, length: 18, refersTo: "User", relation: "Owner"},
		&field{name: "IsDeleted", label: "Deleted", kind: kindBoolean, readOnly: true},
		&field{name: "CreatedDate", label: "Created Date", kind: kindDatetime, readOnly: true},
		&field{name: "LastModifiedDate", label: "Last Modified Date", kind: kindDatetime, readOnly: true},
		&field{name: "SystemModstamp", label: "System Modstamp", kind: kindDatetime, readOnly: true},
	)
}

var schema = []*sobject{
	{name: "Account", label: "Account", plural: "Accounts", prefix: "001", fields: withSystemFields(
		&field{name: "Name", label: "Account Name", kind: kindString, length: 255, required: true},
		&field{name: "Industry", label: "Industry", kind: kindPicklist, length: 255},
		&field{name: "Phone", label: "Account Phone", kind: kindPhone, length: 40},
		&field{name: "Website", label: "Website", kind: kindURL, length: 255},
		&field{name: "AnnualRevenue", label: "Annual Revenue", kind: kindDouble},
		&field{name: "NumberOfEmployees", label: "Employees", kind: kindInt},
		&field{name: "Description", label: "Account Description", kind: kindTextArea, length: 32000},
		&field{name: "External_Id__c", label: "External Id", kind: kindString, length: 80, externalID: true},
	)},
	{name: "Contact", label: "Contact", plural: "Contacts", prefix: "003", fields: withSystemFields(
		&field{name: "LastName", label: "Last Name", kind: kindString, length: 80, required: true},
		&field{name: "FirstName", label: "First Name", kind: kindString, length: 40},
		&field{name: "Email", label: "Email", kind: kindEmail, length: 80},
		&field{name: "AccountId", label: "Account ID", kind: kindReference, length: 18, refersTo: "Account", relation: "Account"},
		&field{name: "External_Id__c", label: "External Id", kind: kindString, length: 80, externalID: true},
	)},
	{name: "Attachment", label: "Attachment", plural: "Attachments", prefix: "00P", fields: withSystemFields(
		&field{name: "Name", label: "File Name", kind: kindString, length: 255, required: true},
		&field{name: "ParentId", label: "Parent ID", kind: kindReference, length: 18, required: true, refersTo: "Account", relation: "Parent"},
		&field{name: "ContentType", label: "Content Type", kind: kindString, length: 120},
		&field{name: "Body", label: "Body", kind: kindBlob, required: true},
		&field{name: "BodyLength", label: "Body Length", kind: kindInt, readOnly: true},
	)},
	{name: "ContentVersion", label: "Content Version", plural: "Content Versions", prefix: "068", fields: withSystemFields(
		&field{name: "PathOnClient", label: "Path On Client", kind: kindString, length: 500, required: true},
		&field{name: "Title", label: "Title", kind: kindString, length: 255},
		&field{name: "Description", label: "Description", kind: kindTextArea, length: 1000},
		&field{name: "VersionData", label: "Version Data", kind: kindBlob, required: true},
		&field{name: "ContentSize", label: "Size", kind: kindInt, readOnly: true},
	)},
	{name: "User", label: "User", plural: "Users", prefix: "005", fixed: true, fields: []*field{
		{name: "Id", label: "User ID", kind: kindID, length: 18, readOnly: true},
		{name: "Username", label: "Username", kind: kindString, length: 80, readOnly: true},
		{name: "Name", label: "Full Name", kind: kindString, length: 121, readOnly: true},
		{name: "Email", label: "Email", kind: kindEmail, length: 128, readOnly: true},
		{name: "IsActive", label: "Active", kind: kindBoolean, readOnly: true},
	}},
}

// sizeFields are filled in with a blob's length.
var sizeFields = map[string]string{"Attachment": "BodyLength", "ContentVersion": "ContentSize"}

func sobjectNamed(name string) *sobject {
	for _, s := range schema {
		if strings.EqualFold(s.name, name) {
			return s
		}
	}
	return nil
}

// describe is the short entry of the list of all sobjects.
func (s *sobject) describe(root string) object {
	base := root + "/sobjects/" + s.name
	return object{
		{"name", s.name}, {"label", s.label}, {"labelPlural", s.plural}, {"keyPrefix", s.prefix},
		{"createable", !s.fixed}, {"updateable", !s.fixed}, {"deletable", !s.fixed},
		{"queryable", true}, {"retrieveable", true}, {"searchable", false}, {"custom", false},
		{"urls", object{{"sobject", base}, {"describe", base + "/describe"}, {"rowTemplate", base + "/{ID}"}}},
	}
}

// describeFully adds the fields, and the absolute links to pages that Salesforce has there.
func (s *sobject) describeFully(root, origin string) object {
	var fields []object
	for _, f := range s.fields {
		fields = append(fields, f.describe())
	}
	description := append(s.describe(root), member{"fields", fields})
	urls := description[len(description)-2].value.(object)
	description[len(description)-2].value = append(urls,
		member{"uiDetailTemplate", origin + "/{ID}"},
		member{"uiEditTemplate", origin + "/{ID}/e"},
		member{"uiNewRecord", origin + "/" + s.prefix + "/e"})
	return description
}

func (f *field) describe() object {
	refersTo := []string{}
	if f.refersTo != "" {
		refersTo = append(refersTo, f.refersTo)
	}
	var relation any
	if f.relation != "" {
		relation = f.relation
	}
	return object{
		{"name", f.name}, {"label", f.label}, {"type", f.kind}, {"length", f.length},
		{"nillable", !f.required && f.kind != kindID && f.kind != kindBoolean},
		{"createable", !f.readOnly}, {"updateable", !f.readOnly}, {"defaultedOnCreate", f.name == "OwnerId"},
		{"externalId", f.externalID}, {"idLookup", f.externalID || f.kind == kindID}, {"unique", f.externalID},
		{"filterable", f.filterable()}, {"sortable", f.filterable()},
		{"referenceTo", refersTo}, {"relationshipName", relation},
	}
}
