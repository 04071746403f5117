package infer

import (
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/pattern"
)

// unit is the unit of a number, and how to convert the number to it.
type unit struct {
	name   string   // the unit as it is written at the end of a metric name
	factor string   // conversion in jq, such as " / 1000"; "" = none
	drop   []string // words that are removed from the metric's name, because the unit replaces them
}

// unitOfName returns the unit that the last words of a key stand for.
func unitOfName(w []string) unit {
	if len(w) == 0 {
		return unit{}
	}
	last := w[len(w)-1]
	is := func(list ...string) bool { return slices.Contains(list, last) }
	of := func(name, factor string) unit { return unit{name, factor, []string{last}} }
	switch {
	case is("ms", "msec", "msecs", "millis", "milliseconds", "millisecond"):
		return of("seconds", " / 1000")
	case is("us", "usec", "micros", "microseconds"):
		return of("seconds", " / 1000000")
	case is("ns", "nsec", "nanos", "nanoseconds"):
		return of("seconds", " / 1000000000")
	case is("seconds", "secs", "sec", "second") || is("s") && len(w) > 1:
		return of("seconds", "")
	case has(w[:len(w)-1], "last", "past", "previous", "recent", "rolling"):
		// In a name such as last_seven_days, the last word is the length of the period, not the unit of the number.
	case is("minutes", "mins"):
		return of("seconds", " * 60")
	case is("hours", "hrs"):
		return of("seconds", " * 3600")
	case is("days"):
		return of("seconds", " * 86400")
	case is("kib"):
		return of("bytes", " * 1024")
	case is("mib"):
		return of("bytes", " * 1048576")
	case is("gib"):
		return of("bytes", " * 1073741824")
	case is("pct", "percent", "percentage"):
		return of("percent", "")
	case is("c") && has(w, "temp", "temperature"), is("celsius", "degc"):
		return of("celsius", "")
	case is("f") && has(w, "temp", "temperature"), is("fahrenheit", "degf"):
		return of("fahrenheit", "")
	}
	for unitName, spellings := range map[string][]string{
		"bytes": {"bytes", "byte"}, "kilobytes": {"kb"}, "megabytes": {"mb"}, "gigabytes": {"gb"}, "terabytes": {"tb"},
		"volts": {"volts", "volt"}, "amperes": {"amps", "amperes"}, "watts": {"watts", "watt"}, "kilowatts": {"kw"}, "kilowatthours": {"kwh"}, "watthours": {"wh"}, "megawatts": {"mw"},
		"hertz": {"hz", "hertz"}, "megahertz": {"mhz"}, "meters": {"meters", "metres"}, "kilometers": {"km"}, "kilometers_per_hour": {"kph", "kmh"},
		"dbm": {"dbm"}, "rpm": {"rpm"}, "lux": {"lux"}, "ppm": {"ppm"}, "mbps": {"mbps"}, "hpa": {"hpa"}, "usd": {"usd"}, "eur": {"eur"}, "kelvin": {"kelvin"}, "percent": {"humidity_percent"},
	} {
		if is(spellings...) {
			return of(unitName, "")
		}
	}
	return unit{}
}

var plainUnit = pattern.OnUse(`^[a-z][a-z0-9_]{0,24}$`)

// unitOfText returns the unit that a text such as °C or km/h names. Only times and binary multiples of bytes are converted.
func unitOfText(text string) unit {
	text = strings.TrimSpace(text)
	known := knownUnits()
	if u, ok := known[text]; ok {
		return u
	}
	if name := strings.ToLower(strings.ReplaceAll(text, "/", "_per_")); plainUnit().MatchString(name) && !has([]string{name}, "iso8601", "unixtime", "unit", "none", "count", "n") {
		return unit{name: name}
	}
	return unit{}
}

// isKnownUnit reports whether a text is a unit that unitOfText knows.
func isKnownUnit(text string) bool {
	_, ok := knownUnits()[text]
	return ok
}

// knownUnits returns units by how they are written.
func knownUnits() map[string]unit {
	return map[string]unit{
		"°C": {name: "celsius"}, "C": {name: "celsius"}, "ºC": {name: "celsius"}, "°F": {name: "fahrenheit"}, "F": {name: "fahrenheit"}, "K": {name: "kelvin"},
		"%": {name: "percent"}, "°": {name: "degrees"}, "ms": {name: "seconds", factor: " / 1000"}, "s": {name: "seconds"}, "sec": {name: "seconds"}, "seconds": {name: "seconds"},
		"min": {name: "seconds", factor: " * 60"}, "h": {name: "seconds", factor: " * 3600"}, "µs": {name: "seconds", factor: " / 1000000"}, "us": {name: "seconds", factor: " / 1000000"},
		"km/h": {name: "kilometers_per_hour"}, "m/s": {name: "meters_per_second"}, "mm": {name: "millimeters"}, "cm": {name: "centimeters"}, "m": {name: "meters"}, "km": {name: "kilometers"}, "inch": {name: "inches"}, "mp/h": {name: "miles_per_hour"}, "mph": {name: "miles_per_hour"},
		"kn": {name: "knots"}, "hPa": {name: "hpa"}, "Pa": {name: "pascals"}, "kWh": {name: "kilowatthours"}, "Wh": {name: "watthours"}, "W": {name: "watts"}, "kW": {name: "kilowatts"}, "MW": {name: "megawatts"}, "V": {name: "volts"}, "A": {name: "amperes"}, "mA": {name: "milliamperes"},
		"Hz": {name: "hertz"}, "MHz": {name: "megahertz"}, "dBm": {name: "dbm"}, "lx": {name: "lux"}, "l": {name: "liters"}, "L": {name: "liters"}, "g": {name: "grams"}, "B": {name: "bytes"}, "bytes": {name: "bytes"},
		"KiB": {name: "bytes", factor: " * 1024"}, "Ki": {name: "bytes", factor: " * 1024"}, "Mi": {name: "bytes", factor: " * 1048576"}, "Gi": {name: "bytes", factor: " * 1073741824"}, "MiB": {name: "bytes", factor: " * 1048576"}, "GiB": {name: "bytes", factor: " * 1073741824"}, "TiB": {name: "bytes", factor: " * 1099511627776"},
		"KB": {name: "kilobytes"}, "kB": {name: "kilobytes"}, "MB": {name: "megabytes"}, "GB": {name: "gigabytes"}, "TB": {name: "terabytes"},
		"W/m²": {name: "watts_per_square_meter"}, "μg/m³": {name: "micrograms_per_cubic_meter"}, "µg/m³": {name: "micrograms_per_cubic_meter"}, "m³": {name: "cubic_meters"}, "$": {name: "usd"}, "€": {name: "eur"}, "£": {name: "gbp"},
	}
}

// Results of baseUnit. It returns timeUnit for every unit of time. It returns binaryPrefix for every binary prefix without a unit, as in
// 128Mi. It returns smallBytes for every unit of bytes in small letters, as in 72.1kb.
const (
	timeUnit     = "s"
	binaryPrefix = "Ki"
	smallBytes   = "kb"
)

var coreCount = pattern.OnUse(`^[0-9]+(?:\.[0-9]+)?[mun]?$`)

// isUnit reports whether the letters after a number are its unit. Letters that follow directly, as in 256QAM, must be a known
// unit.
func isUnit(text, letters string) bool {
	before, ok := strings.CutSuffix(strings.TrimSpace(text), strings.TrimSpace(letters))
	letters = strings.TrimSpace(letters)
	return letters == "" || !ok || strings.HasSuffix(before, " ") || baseUnit(letters) != letters || unitOfName([]string{strings.ToLower(letters)}).name != "" || isKnownUnit(letters)
}

var prefixed = pattern.OnUse(`^(?:[kKMGTPE]i?|m|u|µ)?(B|Hz|W|Wh|V|VA|A|bps|B/s|l|L|g)$`)

// baseUnit returns the unit of a text without its prefix, so that "980 KiB" and "1.2 MiB" have the same base unit.
func baseUnit(text string) string {
	text = strings.TrimSpace(text)
	if found := prefixed().FindStringSubmatch(text); found != nil {
		return found[1]
	}
	switch text {
	case "Ki", "Mi", "Gi", "Ti":
		return binaryPrefix
	case "b", "kb", "mb", "gb", "tb":
		return smallBytes
	case "µs", "us", "ms", "s", "sec", "seconds", "min", "h":
		return timeUnit
	}
	return text
}

// isUnitKey reports whether a key contains units, such as unit, units, uom or hourly_units.
func isUnitKey(key string) bool {
	return has([]string{lastWord(key)}, "unit", "units", "uom") || has([]string{join(key)}, "unit_of_measurement", "unit_code")
}
