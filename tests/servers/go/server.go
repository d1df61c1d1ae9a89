// An upstream in Go: the demo service (demo.thrift) behind the batch adapter. Listens on loopback
// where the kernel says, and prints the address.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/thrift/lib/go/thrift"
	demo "thrift_batch_demo"
	"thriftbatch"
)

const lastUser = 1000000

// directory is the service: it knows nothing of batches.
type directory struct {
	messages, calls, logged atomic.Int64

	lock     sync.Mutex
	journals map[string][]string
}

func user(token string, id int64) (*demo.User, error) {
	if id < 1 || id > lastUser {
		return nil, &demo.NotFound{ID: id, Reason: fmt.Sprintf("there is no user %d", id)}
	}
	return &demo.User{ID: id, Name: fmt.Sprintf("user-%d", id), Active: id%10 != 0, Token: token}, nil
}

func users(token string, ids []int64) map[int64]*demo.User {
	found := make(map[int64]*demo.User)
	for _, id := range ids {
		if one, err := user(token, id); err == nil {
			found[id] = one
		}
	}
	return found
}

func (d *directory) Echo(_ context.Context, token string) (string, error) {
	d.calls.Add(1)
	return token, nil
}

func (d *directory) GetUser(_ context.Context, token string, id int64) (*demo.User, error) {
	d.calls.Add(1)
	return user(token, id)
}

func (d *directory) GetUsers(_ context.Context, token string, ids []int64) (map[int64]*demo.User, error) {
	d.calls.Add(1)
	return users(token, ids), nil
}

func (d *directory) FindUser(_ context.Context, id int64) (*demo.User, error) {
	d.calls.Add(1)
	return user("", id)
}

func (d *directory) FindUsers(_ context.Context, ids []int64) (map[int64]*demo.User, error) {
	d.calls.Add(1)
	return users("", ids), nil
}

func (d *directory) GetUserBatch(_ context.Context, requests []*demo.UserRequest) ([]*demo.UserResult_, error) {
	d.calls.Add(1)
	results := make([]*demo.UserResult_, len(requests))
	for i, request := range requests {
		found, err := user(request.Token, request.ID)
		missing, _ := err.(*demo.NotFound)
		results[i] = &demo.UserResult_{User: found, Missing: missing}
	}
	return results, nil
}

func (d *directory) Touch(context.Context, string) error {
	d.calls.Add(1)
	return nil
}

func (d *directory) Log(_ context.Context, line string) error {
	d.calls.Add(1)
	if line == "fail" {
		return fmt.Errorf("failed as asked")
	}
	d.logged.Add(1)
	return nil
}

func (d *directory) Logged(context.Context) (int64, error) {
	d.calls.Add(1)
	return d.logged.Load(), nil
}

func (d *directory) Everything(_ context.Context, token string, aBool bool, aByte int8, anI16 int16,
	anI32 int32, anI64 int64, aDouble float64, aString string, aBinary []byte, aList []int32,
	aSet []string, aMap map[string]int64, aStruct *demo.Point, structs []*demo.Point) (*demo.Everything, error) {
	d.calls.Add(1)
	return &demo.Everything{Token: token, ABool: aBool, AByte: aByte, AnI16: anI16, AnI32: anI32,
		AnI64: anI64, ADouble: aDouble, AString: aString, ABinary: aBinary, AList: aList, ASet: aSet,
		AMap: aMap, AStruct: aStruct, Structs: structs}, nil
}

func (d *directory) Blob(_ context.Context, payload []byte, size int32) ([]byte, error) {
	d.calls.Add(1)
	blob := make([]byte, size)
	for at := 0; at < len(blob) && len(payload) > 0; {
		at += copy(blob[at:], payload)
	}
	return blob, nil
}

// Fail panics where the token says so.
func (d *directory) Fail(_ context.Context, token string) (string, error) {
	d.calls.Add(1)
	if token == "hard" {
		panic("failed as asked: " + token)
	}
	return "", fmt.Errorf("failed as asked: %s", token)
}

func (d *directory) Wait(_ context.Context, token string, milliseconds int32) (string, error) {
	d.calls.Add(1)
	time.Sleep(time.Duration(milliseconds) * time.Millisecond)
	return token, nil
}

func (d *directory) Append(_ context.Context, journal string, line string) (int64, error) {
	d.calls.Add(1)
	d.lock.Lock()
	defer d.lock.Unlock()
	d.journals[journal] = append(d.journals[journal], line)
	return int64(len(d.journals[journal]) - 1), nil
}

func (d *directory) Lines(_ context.Context, journal string) ([]string, error) {
	d.calls.Add(1)
	d.lock.Lock()
	defer d.lock.Unlock()
	return append([]string{}, d.journals[journal]...), nil
}

func (d *directory) Stats(context.Context) (*demo.Counters, error) {
	return &demo.Counters{Messages: d.messages.Load(), Calls: d.calls.Add(1)}, nil
}

// counted counts the messages that come over connections.
type counted struct {
	thrift.TProcessor
	messages *atomic.Int64
}

func (c counted) Process(ctx context.Context, in, out thrift.TProtocol) (bool, thrift.TException) {
	ok, err := c.TProcessor.Process(ctx, in, out)
	if ok {
		c.messages.Add(1)
	}
	return ok, err
}

func main() {
	transport := flag.String("transport", "framed", "framed or buffered")
	protocol := flag.String("protocol", "binary", "binary or compact")
	var options thriftbatch.Options
	flag.IntVar(&options.MaxCalls, "max-calls", 0, "the adapter's limits ...")
	flag.IntVar(&options.MaxBytes, "max-bytes", 0, "")
	flag.IntVar(&options.MaxReplyBytes, "max-reply-bytes", 0, "")
	flag.IntVar(&options.Parallel, "parallel", 0, "... and parallelism; 0: its default")
	flag.Parse()

	var transports thrift.TTransportFactory = thrift.NewTBufferedTransportFactory(8192)
	if *transport == "framed" {
		transports = thrift.NewTFramedTransportFactoryConf(thrift.NewTTransportFactory(), nil)
	}
	var protocols thrift.TProtocolFactory = thrift.NewTBinaryProtocolFactoryConf(nil)
	if *protocol == "compact" {
		protocols = thrift.NewTCompactProtocolFactoryConf(nil)
	}
	socket, err := thrift.NewTServerSocket("127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	handler := &directory{journals: make(map[string][]string)}
	processor := thriftbatch.NewProcessor(demo.NewDirectoryProcessor(handler), protocols, options)
	server := thrift.NewTSimpleServer4(counted{processor, &handler.messages}, socket, transports, protocols)
	if err := socket.Listen(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", socket.Addr())
	log.Fatal(server.Serve())
}
