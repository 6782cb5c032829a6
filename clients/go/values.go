package litebase

import (
	"database/sql/driver"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"
)

// parameters makes what is sent of the arguments of a statement: a list, or a map when they have names.
func (c *Conn) parameters(args []driver.NamedValue) (any, error) {
	if args[0].Name == "" {
		list := make([]any, len(args))
		for index, arg := range args {
			if arg.Name != "" {
				return nil, fmt.Errorf("litebase: argument %d has a name (%s), others have none", index+1, arg.Name)
			}
			list[index] = c.adapted(arg.Value)
		}
		return list, nil
	}
	named := make(map[string]any, len(args))
	for index, arg := range args {
		if arg.Name == "" {
			return nil, fmt.Errorf("litebase: argument %d has no name, others have one", index+1)
		}
		named[arg.Name] = c.adapted(arg.Value)
	}
	return named, nil
}

func (c *Conn) adaptAll(values []any) ([]any, error) {
	adapted := make([]any, len(values))
	for index, value := range values {
		checked, err := checkValue(value)
		if err != nil {
			return nil, fmt.Errorf("litebase: parameter %d: %w", index+1, err)
		}
		adapted[index] = c.adapted(checked)
	}
	return adapted, nil
}

// checkValue makes one of the types that are sent of a value: nil, bool, int64, uint64, float64, string, []byte, time.Time.
func checkValue(value any) (any, error) {
	if _, isValuer := value.(driver.Valuer); !isValuer {
		if kind := reflect.ValueOf(value); kind.IsValid() && kind.CanUint() && kind.Uint() > math.MaxInt64 {
			return kind.Uint(), nil
		}
	}
	converted, err := driver.DefaultParameterConverter.ConvertValue(value)
	if text, isText := converted.(string); isText && !utf8.ValidString(text) {
		return nil, errNoText
	}
	return converted, err
}

// adapted makes text of a moment, as the engine reads it.
func (c *Conn) adapted(value any) any {
	moment, isTime := value.(time.Time)
	if !isTime {
		return value
	}
	if c.Engine == "mysql" {
		// Its DATETIME has no zone: UTC, as the values that come back.
		return moment.UTC().Format("2006-01-02 15:04:05.999999")
	}
	return moment.Format("2006-01-02 15:04:05.999999999-07:00")
}

var timeLayouts = map[string][]string{
	"date":        {"2006-01-02"},
	"timestamp":   {"2006-01-02 15:04:05"},
	"datetime":    {"2006-01-02 15:04:05"},
	"timestamptz": {"2006-01-02 15:04:05Z07", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z07:00:00"},
}

// received makes what a program gets of a value of the protocol: dates and timestamps of a server become time.Time (without a zone,
// UTC). What Go's type has no room for, such as "infinity" and "0000-00-00", stays text, and so do decimals, which are exact.
func received(value any, kind string) any {
	text, isText := value.(string)
	if !isText {
		return value
	}
	for _, layout := range timeLayouts[kind] {
		if moment, err := time.Parse(layout, text); err == nil {
			return moment
		}
	}
	return value
}

var scanTypes = map[string]reflect.Type{
	"integer": reflect.TypeOf(int64(0)), "real": reflect.TypeOf(float64(0)), "boolean": reflect.TypeOf(false),
	"blob": reflect.TypeOf([]byte(nil)), "any": reflect.TypeOf((*any)(nil)).Elem(),
}

func scanTypeOf(kind string) reflect.Type {
	if known, isKnown := scanTypes[kind]; isKnown {
		return known
	}
	if timeLayouts[kind] != nil {
		return reflect.TypeOf(time.Time{})
	}
	return reflect.TypeOf("")
}

// typeName is what database/sql calls the type of a column: the declared one without its arguments, else the engine's.
func (c column) typeName() string {
	name := c.kind
	if c.declared != "" {
		name, _, _ = strings.Cut(c.declared, "(")
	}
	return strings.ToUpper(strings.TrimSpace(name))
}
