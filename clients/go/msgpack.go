package litebase

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"
)

// The format is https://github.com/msgpack/msgpack/blob/master/spec.md.

// nestingMax is how deep the daemon nests at most (docs/protocol.md, Limits).
const nestingMax = 64

var (
	errMalformed = errors.New("not a message of the protocol")
	errNoText    = errors.New("litebase: a text is not UTF-8; send other bytes as []byte")
)

// field is a pair of a map that keeps its order.
type field struct {
	key   string
	value any
}

// appendValue appends a value in its shortest form. It fails for what the protocol has no form for.
func appendValue(to []byte, value any) ([]byte, error) {
	switch value := value.(type) {
	case nil:
		return append(to, 0xc0), nil
	case bool:
		if value {
			return append(to, 0xc3), nil
		}
		return append(to, 0xc2), nil
	case int:
		return appendInt(to, int64(value)), nil
	case int64:
		return appendInt(to, value), nil
	case uint64:
		return appendUint(to, value), nil
	case float64:
		return binary.BigEndian.AppendUint64(append(to, 0xcb), math.Float64bits(value)), nil
	case string:
		// The daemon could not tell whose request it is, and the connection would be lost.
		if !utf8.ValidString(value) {
			return nil, errNoText
		}
		return appendString(to, value), nil
	case []byte:
		if value == nil {
			return append(to, 0xc0), nil
		}
		return append(appendHead(to, len(value), 0, -1, 0xc4, 0xc5, 0xc6), value...), nil
	case []any:
		return appendList(to, value)
	case []field:
		to = appendHead(to, len(value), 0x80, 15, 0, 0xde, 0xdf)
		var err error
		for _, pair := range value {
			if to, err = appendValue(appendString(to, pair.key), pair.value); err != nil {
				return nil, err
			}
		}
		return to, nil
	case map[string]any:
		to = appendHead(to, len(value), 0x80, 15, 0, 0xde, 0xdf)
		var err error
		for key, item := range value {
			if to, err = appendValue(appendString(to, key), item); err != nil {
				return nil, err
			}
		}
		return to, nil
	}
	return nil, fmt.Errorf("litebase: a value of type %T cannot be sent", value)
}

func appendList(to []byte, list []any) ([]byte, error) {
	to = appendHead(to, len(list), 0x90, 15, 0, 0xdc, 0xdd)
	var err error
	for _, item := range list {
		if to, err = appendValue(to, item); err != nil {
			return nil, err
		}
	}
	return to, nil
}

func appendString(to []byte, text string) []byte {
	return append(appendHead(to, len(text), 0xa0, 31, 0xd9, 0xda, 0xdb), text...)
}

// appendHead appends a length: within the tag up to smallMax, else behind the tag for 8 (0 for none), 16 or 32 bits.
func appendHead(to []byte, count int, small byte, smallMax int, tag8, tag16, tag32 byte) []byte {
	switch {
	case count <= smallMax:
		return append(to, small|byte(count))
	case tag8 != 0 && count <= math.MaxUint8:
		return append(to, tag8, byte(count))
	case count <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(to, tag16), uint16(count))
	}
	return binary.BigEndian.AppendUint32(append(to, tag32), uint32(count))
}

func appendInt(to []byte, value int64) []byte {
	switch {
	case value >= 0:
		return appendUint(to, uint64(value))
	case value >= -32:
		return append(to, byte(value))
	case value >= math.MinInt8:
		return append(to, 0xd0, byte(value))
	case value >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(to, 0xd1), uint16(value))
	case value >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(to, 0xd2), uint32(value))
	}
	return binary.BigEndian.AppendUint64(append(to, 0xd3), uint64(value))
}

func appendUint(to []byte, value uint64) []byte {
	switch {
	case value < 128:
		return append(to, byte(value))
	case value <= math.MaxUint8:
		return append(to, 0xcc, byte(value))
	case value <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(to, 0xcd), uint16(value))
	case value <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(to, 0xce), uint32(value))
	}
	return binary.BigEndian.AppendUint64(append(to, 0xcf), value)
}

// reader takes values from the bytes of one message. After an error it gives nothing more.
type reader struct {
	bytes []byte
	depth int
	err   error
}

// decode reads one message, which is all of the bytes.
func decode(bytes []byte) (any, error) {
	source := reader{bytes: bytes}
	value := source.value()
	if source.err == nil && len(source.bytes) > 0 {
		source.fail()
	}
	return value, source.err
}

func (r *reader) fail() {
	r.err, r.bytes = errMalformed, nil
}

func (r *reader) take(count int) []byte {
	if r.err != nil || count < 0 || count > len(r.bytes) {
		r.fail()
		return nil
	}
	taken := r.bytes[:count:count]
	r.bytes = r.bytes[count:]
	return taken
}

// unsigned reads a number of 1, 2, 4 or 8 bytes.
func (r *reader) unsigned(size int) uint64 {
	var value uint64
	for _, b := range r.take(size) {
		value = value<<8 | uint64(b)
	}
	return value
}

func (r *reader) count(size int) int {
	value := r.unsigned(size)
	if value > math.MaxInt32 {
		r.fail()
		return 0
	}
	return int(value)
}

// value reads any value: nil, bool, int64, uint64 above that, float64, string, []byte, time.Time, []any, map[string]any.
func (r *reader) value() any {
	tags := r.take(1)
	if tags == nil {
		return nil
	}
	switch tag := tags[0]; {
	case tag < 0x80:
		return int64(tag)
	case tag < 0x90:
		return r.mapOf(int(tag & 0x0f))
	case tag < 0xa0:
		return r.list(int(tag & 0x0f))
	case tag < 0xc0:
		return string(r.take(int(tag & 0x1f)))
	case tag >= 0xe0:
		return int64(int8(tag))
	default:
		return r.tagged(tag)
	}
}

func (r *reader) tagged(tag byte) any {
	switch tag {
	case 0xc0:
		return nil
	case 0xc2, 0xc3:
		return tag == 0xc3
	case 0xc4, 0xc5, 0xc6:
		return append([]byte{}, r.take(r.count(1<<(tag-0xc4)))...)
	case 0xca:
		return float64(math.Float32frombits(uint32(r.unsigned(4))))
	case 0xcb:
		return math.Float64frombits(r.unsigned(8))
	case 0xcc, 0xcd, 0xce, 0xcf:
		value := r.unsigned(1 << (tag - 0xcc))
		if value > math.MaxInt64 {
			return value
		}
		return int64(value)
	case 0xd0:
		return int64(int8(r.unsigned(1)))
	case 0xd1:
		return int64(int16(r.unsigned(2)))
	case 0xd2:
		return int64(int32(r.unsigned(4)))
	case 0xd3:
		return int64(r.unsigned(8))
	case 0xd9, 0xda, 0xdb:
		return string(r.take(r.count(1 << (tag - 0xd9))))
	case 0xdc, 0xdd:
		return r.list(r.count(2 << (tag - 0xdc)))
	case 0xde, 0xdf:
		return r.mapOf(r.count(2 << (tag - 0xde)))
	case 0xd6, 0xd7:
		return r.timestamp(4 << (tag - 0xd6))
	case 0xc7:
		return r.timestamp(r.count(1))
	}
	r.fail()
	return nil
}

// timestamp reads MessagePack's extension type -1, the only one of the protocol.
func (r *reader) timestamp(size int) any {
	if kind := r.unsigned(1); kind != 0xff {
		r.fail()
		return nil
	}
	switch size {
	case 4:
		return time.Unix(int64(r.unsigned(4)), 0).UTC()
	case 8:
		value := r.unsigned(8)
		return time.Unix(int64(value&(1<<34-1)), int64(value>>34)).UTC()
	case 12:
		nanoseconds := r.unsigned(4)
		return time.Unix(int64(r.unsigned(8)), int64(nanoseconds)).UTC()
	}
	r.fail()
	return nil
}

// deeper checks the nesting, and that each of so many elements can have a byte at least: no memory is made for what is not there.
func (r *reader) deeper(elements int) bool {
	if r.depth >= nestingMax || elements > len(r.bytes) {
		r.fail()
		return false
	}
	r.depth++
	return true
}

func (r *reader) list(count int) any {
	if !r.deeper(count) {
		return nil
	}
	defer func() { r.depth-- }()
	values := make([]any, count)
	for index := range values {
		values[index] = r.value()
	}
	return values
}

func (r *reader) mapOf(count int) any {
	if !r.deeper(2 * count) {
		return nil
	}
	defer func() { r.depth-- }()
	pairs := make(map[string]any, count)
	for ; count > 0 && r.err == nil; count-- {
		key, isText := r.value().(string)
		if !isText {
			r.fail()
			return nil
		}
		pairs[key] = r.value()
	}
	return pairs
}
