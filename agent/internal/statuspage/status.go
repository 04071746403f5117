package statuspage

import (
	"fmt"
	"time"
)

// The types of this file are the answers of /api/v1/. Fields may be added, but are never renamed or removed. Times are RFC 3339 in
// UTC; a time that is not known is left out. Durations are in seconds.

// Status is the answer of /api/v1/status.
type Status struct {
	Version  string    `json:"version"`
	Now      time.Time `json:"now"`
	Started  time.Time `json:"started"`
	Summary  bool      `json:"summary"` // only names, states and times are shown, because the listener is open to the network
	Ready    bool      `json:"ready"`
	Unready  string    `json:"unready,omitempty"`       // why the agent is not ready
	Actions  bool      `json:"actions"`                 // jobs can be run and paused, and the configuration reloaded, by POST
	Problems []Problem `json:"problems"`                // what is wrong, the worst first
	More     int       `json:"more_problems,omitempty"` // number of problems that are not listed
	Jobs     []Job     `json:"jobs"`
	Sinks    []Sink    `json:"sinks"`
	Watched  []Watched `json:"watched,omitempty"` // the series that web.watch selects
	Logins   []Login   `json:"logins,omitempty"`

	Configuration Configuration `json:"configuration"`
	StateFile     *StateFile    `json:"state_file,omitempty"`
	Lease         *Lease        `json:"lease,omitempty"` // null without run --lease
	ClockJumps    int           `json:"clock_jumps"`     // number of jumps of the system's clock since the start
}

// Problem is something that is wrong.
type Problem struct {
	Level string    `json:"level"`          // error: something is not measured or not delivered; warning: any other problem
	Kind  string    `json:"kind"`           // job, sink, login, configuration, state_file, lease
	Name  string    `json:"name,omitempty"` // name of the job, sink or login
	Text  string    `json:"text"`
	Do    string    `json:"do,omitempty"`   // what the user can do about the problem
	Since time.Time `json:"since,omitzero"` // time of the first failure in a row, of the due run, or of the oldest waiting sample
}

// The states of a job.
const (
	JobOK      = "ok"
	JobPartial = "partial" // some metric could not be measured
	JobFailed  = "failed"
	JobNew     = "waiting" // the job has not run yet
	JobPaused  = "paused"
	JobOverdue = "overdue" // a run is due and has not begun
)

// Job is the state of a job.
type Job struct {
	Name        string           `json:"name"`
	State       string           `json:"state"` // ok, partial, failed, waiting, paused, overdue
	Running     bool             `json:"running"`
	Schedule    string           `json:"schedule,omitempty"` // in words
	LastStart   time.Time        `json:"last_start,omitzero"`
	LastSuccess time.Time        `json:"last_success,omitzero"`
	ValidUntil  time.Time        `json:"valid_until,omitzero"` // for a failed job: until when the values of its last success are shown
	NextRun     time.Time        `json:"next_run,omitzero"`
	Duration    float64          `json:"duration_seconds"`           // of the last run
	Readings    int              `json:"readings"`                   // of the last run that measured something
	Series      int              `json:"series"`                     // number now; 0 once the series of the last success have expired
	Error       string           `json:"error,omitempty"`            // of the last run
	Since       time.Time        `json:"failing_since,omitzero"`     // start of the first run in the current row of failed or partial runs
	Warnings    []string         `json:"warnings,omitempty"`         // measurements of the last run that are probably wrong
	Runs        []Run            `json:"runs,omitempty"`             // the last 60, oldest first
	Results     map[string]int64 `json:"results,omitempty"`          // runs since the start by result: success, partial, error, skipped
	Dropped     map[string]int64 `json:"dropped_readings,omitempty"` // number of dropped readings since the start, by reason
	Cursor      time.Time        `json:"cursor,omitzero"`            // for a job with a window: all data before this time is read

	Detail *JobDetail `json:"detail,omitempty"` // only in /api/v1/jobs/NAME
}

// Run is one run of a job.
type Run struct {
	Start    time.Time `json:"start"`
	Duration float64   `json:"duration_seconds"`
	Waited   float64   `json:"waited_seconds,omitempty"` // wait before Start, because of the setting concurrency
	Result   string    `json:"result"`                   // success, partial, error, skipped
	Readings int       `json:"readings"`
	Series   int       `json:"series"`
	Error    string    `json:"error,omitempty"`
}

// JobDetail is the part of a job's state that only the page of the job shows.
type JobDetail struct {
	Configuration string     `json:"configuration"` // YAML, with secrets replaced by <secret>
	Sinks         []string   `json:"sinks"`
	Requests      []Request  `json:"requests"` // the last 20 requests, newest first
	Quota         []Quota    `json:"quota,omitempty"`
	Problems      []string   `json:"problems,omitempty"` // what the last run could not measure or left out
	Window        *Window    `json:"window,omitempty"`   // window of the last run that measured something
	Document      *Document  `json:"document,omitempty"` // nil until the job has run while a client viewed its page
	Series        SeriesPage `json:"series"`
}

// Request is a request of a job or a sink.
type Request struct {
	At        time.Time `json:"at"`
	Method    string    `json:"method"`
	URL       string    `json:"url"`
	Code      int       `json:"code"` // 0 = no response
	Bytes     int64     `json:"bytes"`
	Duration  float64   `json:"duration_seconds"`
	Waited    float64   `json:"waited_seconds,omitempty"` // part of the duration: wait for rate_limit, Retry-After or a quota
	Cached    bool      `json:"cached,omitempty"`         // answered by the cache: nothing was sent
	Unchanged bool      `json:"unchanged,omitempty"`      // 304 Not Modified
	Error     string    `json:"error,omitempty"`
}

// Quota is the number of requests that a host still accepts, as its response headers say.
type Quota struct {
	Host string `json:"host"`
	Left int64  `json:"left"`
}

// Window is the window of time that a run has read.
type Window struct {
	Start time.Time `json:"start,omitzero"`
	End   time.Time `json:"end"`
}

// Document is the beginning of the last document of a job.
type Document struct {
	From string `json:"from"`
	Root Node   `json:"root"`
}

// SeriesPage is a part of the series of a job.
type SeriesPage struct {
	Total   int      `json:"total"`   // number of all series of the job
	Matched int      `json:"matched"` // number of series that match the search
	Offset  int      `json:"offset"`
	Search  string   `json:"search,omitempty"`
	Sort    string   `json:"sort,omitempty"` // name, value or change, with - before it for descending order
	Series  []Series `json:"series"`
}

// Series is a series with its current value. For a histogram or summary, the value is the count of observations.
type Series struct {
	Metric string            `json:"metric"`
	Type   string            `json:"type"`
	Labels map[string]string `json:"labels,omitempty"`
	Value  Number            `json:"value"`
	Before *Number           `json:"before,omitempty"` // value in the previous run; nil = not known
	Points []Point           `json:"points,omitempty"` // values of the last hour, beginning when the series was first shown
}

// Watched is a series that web.watch selects, or an entry of web.watch that selects no series now.
type Watched struct {
	Job     string    `json:"job,omitempty"`
	At      time.Time `json:"at,omitzero"` // time of the run that measured the value
	Series  *Series   `json:"series,omitempty"`
	Missing string    `json:"missing,omitempty"` // the entry of web.watch that selects no series; "" = Series is set
}

// Point is a value at a time.
type Point struct {
	At    time.Time `json:"at"`
	Value Number    `json:"value"`
}

// The states of a sink.
const (
	SinkOK      = "ok"
	SinkFailing = "failing" // the last request failed
	SinkBehind  = "behind"  // the oldest waiting sample is older than two minutes
)

// Sink is the state of a sink.
type Sink struct {
	Name    string           `json:"name"`
	Kind    string           `json:"kind,omitempty"`
	State   string           `json:"state"` // ok, failing, behind
	Sent    int64            `json:"sent_samples"`
	Rate    float64          `json:"samples_per_second"` // average over the last five minutes
	Failed  int64            `json:"failed_deliveries"`
	Retried int64            `json:"retried_deliveries"`
	Pending int64            `json:"pending_samples"`
	Bytes   int64            `json:"pending_bytes"`
	Limit   int64            `json:"pending_limit_bytes,omitempty"` // the queue's maximum size; above it, the oldest samples are dropped
	Oldest  time.Time        `json:"oldest_pending,omitzero"`
	Dropped map[string]int64 `json:"dropped_samples,omitempty"`  // number of dropped samples since the start, by reason
	CatchUp float64          `json:"catch_up_seconds,omitempty"` // time until the queue is empty, at the pace of the last five minutes
	Error   string           `json:"error,omitempty"`            // error of the last request
	Since   time.Time        `json:"failing_since,omitzero"`     // end of the first request in the current row of failed requests
	Refusal *Refusal         `json:"refusal,omitempty"`          // the refusal of the most samples
	Curve   []Sample         `json:"curve,omitempty"`            // the last hour, oldest first
	Spool   *SpoolFault      `json:"spool_fault,omitempty"`      // why samples wait in memory, although a spool is set
	Facts   []Fact           `json:"facts,omitempty"`            // what the sink reports about itself

	Detail *SinkDetail `json:"detail,omitempty"` // only in /api/v1/sinks/NAME
}

// Full returns which share of its queue the sink uses, as text; "" = the queue has no limit that is known.
func (s *Sink) Full() string {
	if s.Limit == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f%% of %s", 100*float64(s.Bytes)/float64(s.Limit), bytesInWords(s.Limit))
}

// Sample is the state of a sink at one time.
type Sample struct {
	At      time.Time `json:"at"`
	Sent    int64     `json:"sent_samples"`
	Pending int64     `json:"pending_samples"`
	Bytes   int64     `json:"pending_bytes"`
	Dropped int64     `json:"dropped_samples"`
}

// SpoolFault is what is wrong with the spool of a sink.
type SpoolFault struct {
	Since time.Time `json:"since"`
	Error string    `json:"error"`
}

// Refusal is why a receiver has refused samples.
type Refusal struct {
	Samples int64  `json:"samples"`
	Why     string `json:"why"`
	Do      string `json:"do,omitempty"`
}

// SinkDetail is the part of a sink's state that only the page of the sink shows.
type SinkDetail struct {
	Codes    map[string]int64 `json:"requests_by_status,omitempty"` // number of requests since the start by status; key 0 = no response
	Requests []Request        `json:"requests,omitempty"`           // the last 20 requests, newest first
	Refusals []Refusal        `json:"refusals,omitempty"`
	Jobs     []string         `json:"jobs"` // names of the jobs that deliver to this sink
}

// Fact is something that a sink reports, such as its address.
type Fact struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Login is the state of an entry of the section auth.
type Login struct {
	Name    string    `json:"name"`
	Got     time.Time `json:"got,omitzero"`     // when the token was received
	Expires time.Time `json:"expires,omitzero"` // absent = the token is used until it is refused
	Error   string    `json:"error,omitempty"`
}

// Configuration is the state of the configuration.
type Configuration struct {
	Loaded time.Time `json:"loaded,omitzero"`
	OK     bool      `json:"ok"`              // the last reload succeeded
	Error  string    `json:"error,omitempty"` // why the last reload failed; the previous configuration then stays in use
}

// StateFile is the state of the state file.
type StateFile struct {
	Written time.Time `json:"written,omitzero"`
	Failed  int64     `json:"failed_writes"`
	Bytes   int64     `json:"written_bytes"`
	Error   string    `json:"error,omitempty"`
}

// Lease is the state of the lease with which one of several processes runs the jobs.
type Lease struct {
	Name   string `json:"name"`
	Active bool   `json:"active"`           // this process holds the lease and runs the jobs; otherwise it stands by
	Holder string `json:"holder,omitempty"` // host of the process that holds the lease
	Error  string `json:"error,omitempty"`  // why the last request to the API server has failed
	Away   string `json:"away,omitempty"`   // why this process has given the lease back and does not compete for it
}
