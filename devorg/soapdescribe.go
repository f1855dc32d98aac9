package devorg

import "strings"

func (c *soapCall) describeGlobal() *apiError {
	if failure := c.noArguments(); failure != nil {
		return failure
	}
	var list []object
	for _, s := range schema {
		list = append(list, s.soapSummary())
	}
	c.out.members(object{{"result", object{{"encoding", "UTF-8"}, {"maxBatchSize", maxCollection}, {"sobjects", list}}}})
	return nil
}

func (c *soapCall) describeSObject() *apiError {
	given, failure := c.arguments("sObjectType")
	if failure != nil {
		return failure
	}
	s, failure := c.sobjectNamed(given, "sObjectType")
	if failure != nil {
		return failure
	}
	c.out.members(object{{"result", s.soapDescription(c.org.InstanceURL())}})
	return nil
}

// soapSummary has the members of a DescribeGlobalSObjectResult, in the WSDL's order.
func (s *sobject) soapSummary() object {
	return object{
		{"activateable", false}, {"createable", !s.fixed}, {"custom", false}, {"customSetting", false}, {"deepCloneable", false},
		{"deletable", !s.fixed}, {"deprecatedAndHidden", false}, {"feedEnabled", false}, {"hasSubtypes", false}, {"idEnabled", true},
		{"isInterface", false}, {"isSubtype", false}, {"keyPrefix", s.prefix}, {"label", s.label}, {"labelPlural", s.plural},
		{"layoutable", true}, {"mergeable", false}, {"mruEnabled", false}, {"name", s.name}, {"queryable", true},
		{"replicateable", false}, {"retrieveable", true}, {"searchable", false}, {"triggerable", false}, {"undeletable", false},
		{"updateable", !s.fixed},
	}
}

// soapDescription has the members of a DescribeSObjectResult, in the WSDL's order.
func (s *sobject) soapDescription(origin string) object {
	var fields []object
	for _, f := range s.fields {
		fields = append(fields, f.soapDescription(s))
	}
	return object{
		{"activateable", false}, {"childRelationships", s.children()}, {"compactLayoutable", false}, {"createable", !s.fixed},
		{"custom", false}, {"customSetting", false}, {"deepCloneable", false}, {"defaultImplementation", nil}, {"deletable", !s.fixed},
		{"deprecatedAndHidden", false}, {"feedEnabled", false}, {"fields", fields}, {"hasSubtypes", false}, {"idEnabled", true},
		{"implementedBy", nil}, {"implementsInterfaces", nil}, {"isInterface", false}, {"isSubtype", false}, {"keyPrefix", s.prefix},
		{"label", s.label}, {"labelPlural", s.plural}, {"layoutable", true}, {"mergeable", false}, {"mruEnabled", false},
		{"name", s.name}, {"networkScopeFieldName", nil}, {"queryable", true}, {"replicateable", false}, {"retrieveable", true},
		{"searchLayoutable", false}, {"searchable", false}, {"triggerable", false}, {"undeletable", false}, {"updateable", !s.fixed},
		{"urlDetail", origin + "/{ID}"}, {"urlEdit", origin + "/{ID}/e"}, {"urlNew", origin + "/" + s.prefix + "/e"},
	}
}

// children are the references of other sobjects to this one.
func (s *sobject) children() []object {
	var list []object
	for _, other := range schema {
		for _, f := range other.fields {
			if f.refersTo == s.name {
				list = append(list, object{{"cascadeDelete", false}, {"childSObject", other.name},
					{"deprecatedAndHidden", false}, {"field", f.name}, {"restrictedDelete", false}})
			}
		}
	}
	return list
}

// soapDescription has the members of a Field, in the WSDL's order.
func (f *field) soapDescription(s *sobject) object {
	var number, text int
	switch f.kind {
	case kindDouble, kindInt:
		number = 18
	default:
		text = f.length
	}
	name := f.name == "Name" || (s.name == "ContentVersion" && f.name == "Title")
	members := object{
		{"aggregatable", f.filterable()}, {"aiPredictionField", false}, {"autoNumber", false}, {"byteLength", 3 * text},
		{"calculated", false}, {"caseSensitive", false}, {"createable", !f.readOnly}, {"custom", strings.HasSuffix(f.name, "__c")},
		{"defaultedOnCreate", f.name == "OwnerId"}, {"deprecatedAndHidden", false}, {"digits", 0}, {"externalId", f.externalID},
		{"filterable", f.filterable()}, {"groupable", f.filterable()}, {"idLookup", f.externalID || f.kind == kindID},
		{"label", f.label}, {"length", text}, {"name", f.name}, {"nameField", name},
		{"nillable", !f.required && f.kind != kindID && f.kind != kindBoolean}, {"permissionable", !f.required && !f.readOnly},
		{"polymorphicForeignKey", false}, {"precision", number}, {"queryByDistance", false},
	}
	if f.refersTo != "" {
		members = append(members, member{"referenceTo", []string{f.refersTo}}, member{"relationshipName", f.relation})
	}
	return append(members, object{
		{"restrictedPicklist", false}, {"scale", 0}, {"searchPrefilterable", false}, {"soapType", f.soapType()}, {"sortable", f.filterable()},
		{"type", f.kind}, {"unique", f.externalID}, {"updateable", !f.readOnly},
	}...)
}

func (f *field) soapType() string {
	switch f.kind {
	case kindID, kindReference:
		return "tns:ID"
	case kindDouble, kindInt, kindBoolean:
		return "xsd:" + string(f.kind)
	case kindDatetime:
		return "xsd:dateTime"
	case kindBlob:
		return "xsd:base64Binary"
	}
	return "xsd:string"
}
