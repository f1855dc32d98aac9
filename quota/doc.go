// Package quota shares what an org gives to all of its clients together: the API
// requests of 24 hours, and the requests that run at a time. One runaway job
// uses up either for every integration there is.
//
// [Usage] is what the org's answers tell of the first, and decides with a
// [Reserve] whether a client may go on. [Queue] shares the second.
package quota
