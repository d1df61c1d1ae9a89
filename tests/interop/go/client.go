// client ADDRESS TRANSPORT PROTOCOL: the checks of ../checks.txt with Thrift's Go library.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"sort"
	"strings"
	"time"

	"github.com/apache/thrift/lib/go/thrift"
	demo "thrift_batch_demo"
	interop "thrift_batch_interop"
)

const unicode = "aé€𝄞 日本語 \n\t"
const patience = 20 * time.Second

var ctx = context.Background()
var allBytes = make([]byte, 256)

type client struct {
	*interop.Newer_Client
	protocol thrift.TProtocol
}

type check struct {
	name string
	run  func(c *client) error
}

func connect(address, transport, protocol string) (*client, error) {
	conf := &thrift.TConfiguration{ConnectTimeout: patience, SocketTimeout: patience}
	var wrapped thrift.TTransport = thrift.NewTSocketConf(address, conf)
	switch transport {
	case "framed":
		wrapped = thrift.NewTFramedTransportConf(wrapped, conf)
	case "buffered":
		wrapped = thrift.NewTBufferedTransport(wrapped, 8192)
	default:
		return nil, errors.New("no transport " + transport)
	}
	old := false
	var spoken thrift.TProtocol
	switch protocol {
	case "binary":
		spoken = thrift.NewTBinaryProtocolConf(wrapped, conf)
	case "binary-old":
		conf.TBinaryStrictRead, conf.TBinaryStrictWrite = &old, &old
		spoken = thrift.NewTBinaryProtocolConf(wrapped, conf)
	case "compact":
		spoken = thrift.NewTCompactProtocolConf(wrapped, conf)
	default:
		return nil, errors.New("no protocol " + protocol)
	}
	made := &client{interop.NewNewer_ClientProtocol(wrapped, spoken, spoken), spoken}
	return made, wrapped.Open()
}

// --- the checks -------------------------------------------------------------------------------

func equal(got, wanted interface{}) error {
	if reflect.DeepEqual(got, wanted) {
		return nil
	}
	return fmt.Errorf("got %.200s, wanted %.200s", fmt.Sprintf("%#v", got),
		fmt.Sprintf("%#v", wanted))
}

func first(errors ...error) error {
	for _, err := range errors {
		if err != nil {
			return err
		}
	}
	return nil
}

func echo(token string) func(c *client) error {
	return func(c *client) error {
		got, err := c.Echo(ctx, token)
		return first(err, equal(got, token))
	}
}

func user(id int64, token string) *demo.User {
	return &demo.User{ID: id, Name: fmt.Sprintf("user-%d", id), Active: id%10 != 0, Token: token}
}

func users(token string, ids ...int64) map[int64]*demo.User {
	all := map[int64]*demo.User{}
	for _, id := range ids {
		all[id] = user(id, token)
	}
	return all
}

func getUser(token string, id int64) func(c *client) error {
	return func(c *client) error {
		got, err := c.GetUser(ctx, token, id)
		return first(err, equal(got, user(id, token)))
	}
}

func isMissing(err error, id int64) error {
	var missing *demo.NotFound
	if !errors.As(err, &missing) {
		return fmt.Errorf("not NotFound but %v", err)
	}
	return equal([]interface{}{missing.ID, missing.Reason},
		[]interface{}{id, fmt.Sprintf("there is no user %d", id)})
}

func isApplicationException(err error, kind int32) error {
	var exception thrift.TApplicationException
	if !errors.As(err, &exception) {
		return fmt.Errorf("no application exception but %v", err)
	}
	return equal(exception.TypeId(), kind)
}

func typical() *demo.Everything {
	return &demo.Everything{Token: "t", ABool: true, AByte: 1, AnI16: 2, AnI32: 3, AnI64: 4,
		ADouble: 5.5, AString: "text", ABinary: []byte{0, 1, 0xfe, 0xff}, AList: []int32{1, 2, 3},
		ASet: []string{"a", "b"}, AMap: map[string]int64{"one": 1},
		AStruct: &demo.Point{X: 0.5, Y: -0.25},
		Structs: []*demo.Point{{X: 1, Y: 2}, {X: 3, Y: 4}}}
}

func askEverything(c *client, v *demo.Everything) (*demo.Everything, error) {
	got, err := c.Everything(ctx, v.Token, v.ABool, v.AByte, v.AnI16, v.AnI32, v.AnI64, v.ADouble,
		v.AString, v.ABinary, v.AList, v.ASet, v.AMap, v.AStruct, v.Structs)
	if got != nil {
		sort.Strings(got.ASet)
	}
	return got, err
}

func everything(change func(v *demo.Everything)) func(c *client) error {
	return func(c *client) error {
		values := typical()
		change(values)
		got, err := askEverything(c, values)
		return first(err, equal(got, values))
	}
}

func double(value float64, same func(got float64) bool) func(c *client) error {
	return func(c *client) error {
		values := typical()
		values.ADouble = value
		got, err := askEverything(c, values)
		if err == nil && !same(got.ADouble) {
			err = fmt.Errorf("got %v", got.ADouble)
		}
		return err
	}
}

func getUserBatch(c *client) error {
	got, err := c.GetUserBatch(ctx, []*demo.UserRequest{{Token: "a", ID: 1}, {Token: "b", ID: -1},
		{Token: "c", ID: 2}})
	return first(err, equal(got, []*demo.UserResult_{{User: user(1, "a")},
		{Missing: &demo.NotFound{ID: -1, Reason: "there is no user -1"}}, {User: user(2, "c")}}))
}

func logOneway(c *client) error {
	before, err := c.Logged(ctx)
	for i := 0; i < 3 && err == nil; i++ {
		err = c.Log(ctx, "line")
	}
	if err != nil {
		return err
	}
	after, err := c.Logged(ctx)
	return first(err, equal(after, before+3))
}

func blob(payload []byte, size int, wanted []byte) func(c *client) error {
	return func(c *client) error {
		got, err := c.Blob(ctx, payload, int32(size))
		if err == nil && !bytes.Equal(got, wanted) {
			err = fmt.Errorf("another payload, of %d bytes", len(got))
		}
		return err
	}
}

func appendLines(c *client) error {
	journal := fmt.Sprintf("%d-%d", os.Getpid(), time.Now().UnixNano())
	lines := []string{"one", "two", "é"}
	for position, line := range lines {
		got, err := c.Append(ctx, journal, line)
		if err = first(err, equal(got, int64(position))); err != nil {
			return err
		}
	}
	got, err := c.Lines(ctx, journal)
	return first(err, equal(got, lines))
}

func unheardOf(named map[string]bool, numbers map[string]int64) func(c *client) error {
	return func(c *client) error {
		_, err := c.UnheardOf(ctx, []bool{true, false, true}, named,
			[][][][][][]bool{{{{{{true, false}, {}}}}}}, numbers)
		return isApplicationException(err, thrift.UNKNOWN_METHOD)
	}
}

func manyCalls(c *client) error {
	for i := 0; i < 200; i++ {
		if err := echo(fmt.Sprintf("token %d", i))(c); err != nil {
			return err
		}
	}
	return nil
}

// The generated client waits for each answer; the protocol below it need not.
func sendEcho(c *client, i int) error {
	arguments := &demo.DirectoryEchoArgs{Token: fmt.Sprintf("token %d", i)}
	return first(c.protocol.WriteMessageBegin(ctx, "echo", thrift.CALL, int32(1000+i)),
		arguments.Write(ctx, c.protocol), c.protocol.WriteMessageEnd(ctx), c.protocol.Flush(ctx))
}

func receiveEcho(c *client, i int) error {
	name, kind, seqid, err := c.protocol.ReadMessageBegin(ctx)
	if err = first(err, equal(name, "echo"), equal(kind, thrift.REPLY),
		equal(seqid, int32(1000+i))); err != nil {
		return err
	}
	result := demo.NewDirectoryEchoResult()
	if err = first(result.Read(ctx, c.protocol), c.protocol.ReadMessageEnd(ctx)); err != nil {
		return err
	}
	return equal(result.GetSuccess(), fmt.Sprintf("token %d", i))
}

func inFlight(c *client) error {
	for i := 0; i < 100; i++ {
		if err := sendEcho(c, i); err != nil {
			return err
		}
	}
	for i := 0; i < 100; i++ {
		if err := receiveEcho(c, i); err != nil {
			return err
		}
	}
	return nil
}

func long() (list []int32, set []string, points []*demo.Point) {
	for i := -1000; i < 1000; i++ {
		list = append(list, int32(i))
	}
	for i := 0; i < 100; i++ {
		set = append(set, fmt.Sprint(i))
		points = append(points, &demo.Point{X: float64(i), Y: float64(-i)})
	}
	sort.Strings(set)
	return list, set, points
}

func checks() []check {
	list, set, points := long()
	big := bytes.Repeat(allBytes, 4096)
	return []check{
		{"echo-ascii", echo("hello")},
		{"echo-empty", echo("")},
		{"echo-unicode", echo(unicode)},
		{"echo-long", echo(strings.Repeat("0123456789", 10000))},
		{"get-user", getUser("t", 7)},
		{"get-user-inactive", getUser("t", 10)},
		{"get-user-last", getUser("é", 1000000)},
		{"get-user-missing", func(c *client) error {
			_, err := c.GetUser(ctx, "t", -5)
			return isMissing(err, -5)
		}},
		{"get-users", func(c *client) error {
			got, err := c.GetUsers(ctx, "t", []int64{1, 2, 10, 0})
			return first(err, equal(got, users("t", 1, 2, 10)))
		}},
		{"get-users-empty", func(c *client) error {
			got, err := c.GetUsers(ctx, "t", []int64{})
			return first(err, equal(got, users("t")))
		}},
		{"find-user", func(c *client) error {
			got, err := c.FindUser(ctx, 42)
			return first(err, equal(got, user(42, "")))
		}},
		{"find-user-missing", func(c *client) error {
			_, err := c.FindUser(ctx, math.MinInt64)
			return isMissing(err, math.MinInt64)
		}},
		{"find-users", func(c *client) error {
			got, err := c.FindUsers(ctx, []int64{5, 6, -1})
			return first(err, equal(got, users("", 5, 6)))
		}},
		{"get-user-batch", getUserBatch},
		{"touch", func(c *client) error { return c.Touch(ctx, "t") }},
		{"log-oneway", logOneway},
		{"everything-typical", everything(func(v *demo.Everything) {})},
		{"bool-false", everything(func(v *demo.Everything) { v.ABool = false })},
		{"byte-min", everything(func(v *demo.Everything) { v.AByte = math.MinInt8 })},
		{"byte-max", everything(func(v *demo.Everything) { v.AByte = math.MaxInt8 })},
		{"i16-min", everything(func(v *demo.Everything) { v.AnI16 = math.MinInt16 })},
		{"i16-max", everything(func(v *demo.Everything) { v.AnI16 = math.MaxInt16 })},
		{"i32-min", everything(func(v *demo.Everything) { v.AnI32 = math.MinInt32 })},
		{"i32-max", everything(func(v *demo.Everything) { v.AnI32 = math.MaxInt32 })},
		{"i64-min", everything(func(v *demo.Everything) { v.AnI64 = math.MinInt64 })},
		{"i64-max", everything(func(v *demo.Everything) { v.AnI64 = math.MaxInt64 })},
		{"double-max", everything(func(v *demo.Everything) { v.ADouble = math.MaxFloat64 })},
		{"double-tiny", everything(func(v *demo.Everything) { v.ADouble = 5e-324 })},
		{"double-minus-zero", double(math.Copysign(0, -1), func(got float64) bool {
			return got == 0 && math.Signbit(got)
		})},
		{"double-nan", double(math.NaN(), math.IsNaN)},
		{"double-infinity", everything(func(v *demo.Everything) { v.ADouble = math.Inf(1) })},
		{"double-minus-infinity", everything(func(v *demo.Everything) { v.ADouble = math.Inf(-1) })},
		{"string-empty", everything(func(v *demo.Everything) { v.AString = "" })},
		{"string-unicode", everything(func(v *demo.Everything) { v.AString = unicode })},
		{"binary-empty", everything(func(v *demo.Everything) { v.ABinary = []byte{} })},
		{"binary-all", everything(func(v *demo.Everything) { v.ABinary = allBytes })},
		{"list-empty", everything(func(v *demo.Everything) { v.AList = []int32{} })},
		{"list-long", everything(func(v *demo.Everything) { v.AList = list })},
		{"set-empty", everything(func(v *demo.Everything) { v.ASet = []string{} })},
		{"set-long", everything(func(v *demo.Everything) { v.ASet = set })},
		{"map-empty", everything(func(v *demo.Everything) { v.AMap = map[string]int64{} })},
		{"map-values", everything(func(v *demo.Everything) {
			v.AMap = map[string]int64{"": 0, "é": math.MinInt64, "max": math.MaxInt64}
		})},
		{"structs-empty", everything(func(v *demo.Everything) { v.Structs = []*demo.Point{} })},
		{"structs-long", everything(func(v *demo.Everything) { v.Structs = points })},
		{"fail", func(c *client) error {
			_, err := c.Fail(ctx, "é")
			return first(isApplicationException(err, thrift.INTERNAL_ERROR),
				equal(fmt.Sprint(err), "failed as asked: é"))
		}},
		{"after-fail", echo("still there")},
		{"blob-empty", blob([]byte{}, 0, []byte{})},
		{"blob-grown", blob([]byte("abc"), 10, []byte("abcabcabca"))},
		{"blob-1mib", blob(big, len(big), big)},
		{"wait", func(c *client) error {
			got, err := c.Wait(ctx, "t", 20)
			return first(err, equal(got, "t"))
		}},
		{"append-lines", appendLines},
		{"unheard-of", unheardOf(map[string]bool{}, map[string]int64{"one": 1})},
		{"unheard-of-bool-map", unheardOf(map[string]bool{"yes": true, "no": false},
			map[string]int64{})},
		{"after-unheard-of", echo("still there")},
		{"many-calls", manyCalls},
		{"in-flight", inFlight},
		{"stats", func(c *client) error {
			got, err := c.Stats(ctx)
			return first(err, equal(err != nil || got.Calls >= 200, true))
		}},
	}
}

func main() {
	for i := range allBytes {
		allBytes[i] = byte(i)
	}
	var c *client
	for _, check := range checks() {
		var err error
		if c == nil {
			c, err = connect(os.Args[1], os.Args[2], os.Args[3])
		}
		if err == nil {
			err = check.run(c)
		}
		if err == nil {
			fmt.Println("ok", check.name)
			continue
		}
		fmt.Printf("not ok %s: %s\n", check.name, strings.ReplaceAll(err.Error(), "\n", " "))
		c = nil // whatever is left on that connection is no business of the next check
	}
}
