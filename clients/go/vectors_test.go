package litebase

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"net"
	"os"
	"reflect"
	"strconv"
	"testing"
	"time"
)

// linesOf reads one of the files that the tests of every client read (clients/vectors).
func linesOf[Line any](t *testing.T, name string) []Line {
	file, err := os.ReadFile("../vectors/" + name)
	must(t, err)
	var lines []Line
	for _, text := range bytes.Split(bytes.TrimSpace(file), []byte("\n")) {
		var line Line
		must(t, json.Unmarshal(text, &line))
		lines = append(lines, line)
	}
	return lines
}

func fromHex(t *testing.T, text string) []byte {
	decoded, err := hex.DecodeString(text)
	must(t, err)
	return decoded
}

type nativeVector struct {
	Kind  string
	Value any
	Bits  string
	UTF8  string `json:"utf8"`
	Hex   string
}

func (n nativeVector) value(t *testing.T) any {
	switch n.Kind {
	case "boolean":
		return n.Value
	case "integer":
		text := n.Value.(string)
		if number, err := strconv.ParseInt(text, 10, 64); err == nil {
			return number
		}
		number, err := strconv.ParseUint(text, 10, 64)
		must(t, err)
		return number
	case "real":
		bits, err := strconv.ParseUint(n.Bits, 16, 64)
		must(t, err)
		return math.Float64frombits(bits)
	case "text":
		return string(fromHex(t, n.UTF8))
	case "blob":
		return fromHex(t, n.Hex)
	}
	return nil
}

func TestVectorsOfValues(t *testing.T) {
	type line struct {
		Native  nativeVector
		Msgpack string
		Also    []string `json:"msgpack_also"`
	}
	for _, vector := range linesOf[line](t, "values.jsonl") {
		value := vector.Native.value(t)
		packed, err := appendValue(nil, value)
		must(t, err)
		if hex.EncodeToString(packed) != vector.Msgpack {
			t.Errorf("%v is written as %x, not as %s", value, packed, vector.Msgpack)
		}
		for _, form := range append([]string{vector.Msgpack}, vector.Also...) {
			back, err := decode(fromHex(t, form))
			if real, isReal := back.(float64); isReal {
				if math.Float64bits(real) != math.Float64bits(value.(float64)) {
					t.Errorf("%s is read as %v, not as %v", form, back, value)
				}
			} else if err != nil || !reflect.DeepEqual(back, value) {
				t.Errorf("%s is read as %v (%v), not as %v", form, back, err, value)
			}
		}
	}
}

func TestVectorsOfRequestsSayWhatTheySay(t *testing.T) {
	type line struct{ Type, Msgpack string }
	for _, vector := range linesOf[line](t, "requests.jsonl") {
		value, err := decode(fromHex(t, vector.Msgpack))
		must(t, err)
		if value.(map[string]any)["type"] != vector.Type {
			t.Errorf("%s is read as %v", vector.Type, value)
		}
		packed, err := appendValue(nil, value)
		must(t, err)
		again, err := decode(packed)
		if err != nil || !reflect.DeepEqual(again, value) {
			t.Errorf("%v is written and read as %v", value, again)
		}
	}
}

// TestVectorsOfStreams gives a connection the bytes of a stream in pieces of every size.
func TestVectorsOfStreams(t *testing.T) {
	type line struct {
		Name, Framing, Bytes string
		Bodies               []string
	}
	for _, vector := range linesOf[line](t, "streams.jsonl") {
		if vector.Framing != "frames" {
			continue
		}
		stream := fromHex(t, vector.Bytes)
		for size := 1; size <= len(stream); size++ {
			ours, theirs := net.Pipe()
			go func(size int) {
				for start := 0; start < len(stream); start += size {
					end := start + size
					if end > len(stream) {
						end = len(stream)
					}
					theirs.Write(stream[start:end])
				}
				theirs.Close()
			}(size)
			conn := &Conn{input: bufio.NewReader(ours)}
			for _, body := range vector.Bodies {
				wanted, err := decode(fromHex(t, body))
				must(t, err)
				if message, err := conn.next(); err != nil || !reflect.DeepEqual(any(message), wanted) {
					t.Fatalf("%s in pieces of %d: %v, %v", vector.Name, size, message, err)
				}
			}
		}
	}
}

// TestVectorsOfReplies lets a connection wait for each reply.
func TestVectorsOfReplies(t *testing.T) {
	type line struct {
		Name    string
		Msgpack []string
	}
	for _, vector := range linesOf[line](t, "replies.jsonl") {
		var stream []byte
		notices, wantedNotices := 0, 0
		for _, body := range vector.Msgpack {
			count := len(body) / 2
			stream = append(append(stream, byte(count>>24), byte(count>>16), byte(count>>8), byte(count)), fromHex(t, body)...)
		}
		conn := &Conn{input: bufio.NewReader(bytes.NewReader(stream)), options: Options{OnNotice: func(map[string]any) { notices++ }}}
		for _, body := range vector.Msgpack {
			value, err := decode(fromHex(t, body))
			must(t, err)
			message := value.(map[string]any)
			id, isNumber := message["id"].(int64)
			if message["id"] == nil {
				wantedNotices++
				continue
			}
			if !isNumber {
				continue // Of no client that numbers its requests.
			}
			data, err := conn.reply(context.Background(), id, "query")
			if message["type"] == "error" {
				var found *Error
				if !errors.As(err, &found) || found.Code != message["data"].(map[string]any)["code"] {
					t.Errorf("%s: %v", vector.Name, err)
				}
			} else if err != nil || !reflect.DeepEqual(any(data), message["data"]) {
				t.Errorf("%s: %v, %v", vector.Name, data, err)
			}
		}
		if notices != wantedNotices {
			t.Errorf("%s: %d notices, not %d", vector.Name, notices, wantedNotices)
		}
	}
}

// FuzzDecode: whatever comes, there is an error or a value that can be written and read again.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"\x82\xa2id\x01", "\xdd\x00\x00\x00\x01\x91\xc0", "\xdf\xff\xff\xff\xff", "\xc7\x0c\xff", "\xd7\xff12345678"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		value, err := decode(input)
		if err != nil {
			return
		}
		if _, isTime := value.(time.Time); isTime {
			return
		}
		if _, err := appendValue(nil, value); err != nil && !bytes.Contains([]byte(err.Error()), []byte("time.Time")) {
			t.Fatal(err)
		}
	})
}
