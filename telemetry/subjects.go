package telemetry

// Subjects are those whose tokens the metrics show: each once, however many
// clients act for it, and without its username, which no metric holds. A subject
// is called by the name of the first of its clients; the default subject is "".
type Subjects struct {
	list    []string          // each once, the default one first
	names   map[string]string // subject → what the metrics call it
	clients map[string]string // client's name → subject
}

// NewSubjects returns the default subject. Clients are to be added before the
// Subjects are used.
func NewSubjects(byDefault string) *Subjects {
	return &Subjects{list: []string{byDefault}, names: map[string]string{byDefault: ""}, clients: map[string]string{}}
}

// Add adds a client, whose name no other one has, and the subject it acts for.
func (s *Subjects) Add(client, subject string) {
	s.clients[client] = subject
	if _, known := s.names[subject]; !known {
		s.names[subject] = client
		s.list = append(s.list, subject)
	}
}

// name returns what the metrics call a subject.
func (s *Subjects) name(subject string) string { return s.names[subject] }
