// Package thriftbatch serves executeBatch (batch.thrift) in front of a Go server's own processor:
//
//	transports := thrift.NewTFramedTransportFactoryConf(thrift.NewTTransportFactory(), nil)
//	protocols := thrift.NewTBinaryProtocolFactoryConf(nil)
//	directory := demo.NewDirectoryProcessor(handler)
//	processor := thriftbatch.NewProcessor(directory, protocols, thriftbatch.Options{})
//	server := thrift.NewTSimpleServer4(processor, socket, transports, protocols)
//
// The processor takes the place of the server's own one, which stays as it is, as do its handlers.
// A message named executeBatch is taken apart: each of its calls goes to the inner processor over
// memory, and the replies go back together. Every other message goes to the inner processor as if
// the adapter were not there. This file is all there is: copy it into your server. It needs no
// generated code.
//
//   - Answers: one Response a Request, in order. It has no message where the inner processor wrote
//     nothing: a oneway method, which Go's clients send as CALL. A call that does not parse
//     (PROTOCOL_ERROR), panics (INTERNAL_ERROR) or is no call (INVALID_MESSAGE_TYPE) is answered with
//     a TApplicationException of its own, or not at all if it came as ONEWAY; its neighbours do not
//     notice. An unknown method is the inner processor's to answer, and a batch in a batch is one.
//   - Concurrency: calls of the same lane run one after another in the order in which they stand.
//     All others run side by side on up to Options.Parallel goroutines, as they would coming over
//     connections of their own.
//   - Deadlines: a CALL whose timeoutMs is over before it begins, counted from when the batch has
//     been read, is answered with INTERNAL_ERROR "deadline passed".
//   - Refused, and nothing executed: a batch above a limit (INTERNAL_ERROR; the connection goes on),
//     a batch that does not parse (PROTOCOL_ERROR; the server then closes the connection, as it does
//     with any message that does not parse).
package thriftbatch

import (
	"context"
	"errors"
	"fmt"
	"log"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/thrift/lib/go/thrift"
)

const method = "executeBatch"

// Options are the limits of a Processor. Zero stands for the default.
type Options struct {
	MaxCalls      int // calls in a batch: 10,000
	MaxBytes      int // their messages together: 64 MiB
	MaxReplyBytes int // their replies together: 256 MiB; one that does not fit is an INTERNAL_ERROR
	Parallel      int // calls of one batch that run side by side: 16; 1 runs them all in order
}

// Processor is a thrift.TProcessor in front of another one. It may be used from any number of
// goroutines at once if the inner processor may.
type Processor struct {
	thrift.TProcessor // the inner one
	protocols         thrift.TProtocolFactory
	options           Options
}

// NewProcessor returns a Processor in front of inner. The protocols are those of the server's
// connections: in a batch, calls and replies are written in the same.
func NewProcessor(inner thrift.TProcessor, protocols thrift.TProtocolFactory, options Options) *Processor {
	return &Processor{inner, protocols, Options{
		MaxCalls:      orDefault(options.MaxCalls, 10000),
		MaxBytes:      orDefault(options.MaxBytes, 64<<20),
		MaxReplyBytes: orDefault(options.MaxReplyBytes, 256<<20),
		Parallel:      orDefault(options.Parallel, 16),
	}}
}

func orDefault(value, standard int) int {
	if value <= 0 {
		return standard
	}
	return value
}

// Process handles one message of a connection.
func (p *Processor) Process(ctx context.Context, in, out thrift.TProtocol) (bool, thrift.TException) {
	name, kind, seqID, err := in.ReadMessageBegin(ctx)
	if err != nil {
		return false, thrift.WrapTException(err)
	}
	if name != method {
		return p.TProcessor.Process(ctx, thrift.NewStoredMessageProtocol(in, name, kind, seqID), out)
	}
	b := batch{options: &p.options}
	err = firstOf(b.read(ctx, in), in.ReadMessageEnd(ctx))
	if err != nil {
		refusal := thrift.NewTApplicationException(thrift.PROTOCOL_ERROR, err.Error())
		_ = firstOf(writeException(ctx, out, method, seqID, refusal), out.Flush(ctx))
		return false, thrift.WrapTException(err)
	}
	if b.refusal != nil {
		err = writeException(ctx, out, method, seqID, b.refusal)
	} else {
		err = writeReplies(ctx, out, seqID, p.executeAll(ctx, b.calls))
	}
	if err = firstOf(err, out.Flush(ctx)); err != nil {
		return false, thrift.WrapTException(err)
	}
	return true, nil
}

// --- execution ------------------------------------------------------------------------------------

// executeAll returns a reply for each call, empty where none is owed.
func (p *Processor) executeAll(ctx context.Context, calls []call) [][]byte {
	begin := time.Now()
	replies := make([][]byte, len(calls))
	chains := chainsOf(calls)
	var next, replyBytes atomic.Int64
	work := func() {
		for at := next.Add(1) - 1; at < int64(len(chains)); at = next.Add(1) - 1 {
			for _, i := range chains[at] {
				replies[i] = p.execute(ctx, &calls[i], int32(i), begin, &replyBytes)
			}
		}
	}
	var others sync.WaitGroup
	for n := 1; n < p.options.Parallel && n < len(chains); n++ {
		others.Add(1)
		go func() {
			defer others.Done()
			work()
		}()
	}
	work()
	others.Wait()
	return replies
}

// chainsOf returns the positions of the calls, those that have to follow each other in one chain.
func chainsOf(calls []call) [][]int {
	chains := make([][]int, 0, len(calls))
	lanes := make(map[int32]int)
	for i := range calls {
		lane := calls[i].lane
		if lane == nil {
			chains = append(chains, []int{i})
		} else if at, known := lanes[*lane]; known {
			chains[at] = append(chains[at], i)
		} else {
			lanes[*lane] = len(chains)
			chains = append(chains, []int{i})
		}
	}
	return chains
}

// execute returns the reply to one call: the processor's, or an exception.
func (p *Processor) execute(ctx context.Context, c *call, position int32, begin time.Time, replyBytes *atomic.Int64) []byte {
	name, kind, seqID, err := p.over(c.message).ReadMessageBegin(ctx)
	if err != nil {
		return p.exception(ctx, "", position, thrift.PROTOCOL_ERROR, err.Error())
	}
	if kind != thrift.CALL && kind != thrift.ONEWAY {
		return p.exception(ctx, name, seqID, thrift.INVALID_MESSAGE_TYPE_EXCEPTION, "a request of a batch must be a call")
	}
	if kind == thrift.CALL && c.timeout != nil && time.Since(begin) >= *c.timeout {
		return p.exception(ctx, name, seqID, thrift.INTERNAL_ERROR, "deadline passed")
	}
	reply, err := p.process(ctx, c.message)
	if err != nil {
		if kind == thrift.ONEWAY {
			return nil
		}
		return p.exception(ctx, name, seqID, codeOf(err), err.Error())
	}
	if size := int64(len(reply)); replyBytes.Add(size) > int64(p.options.MaxReplyBytes) {
		replyBytes.Add(-size)
		return p.exception(ctx, name, seqID, thrift.INTERNAL_ERROR, "the replies of the batch are too large together")
	}
	return reply
}

// process has the inner processor answer a message. An error means that it has left no reply. (An
// error of the inner processor means less: generated ones also report what they have answered.)
func (p *Processor) process(ctx context.Context, message []byte) (reply []byte, err error) {
	defer func() {
		if problem := recover(); problem != nil {
			log.Printf("panic in a call of a batch: %v\n%s", problem, debug.Stack())
			reply, err = nil, fmt.Errorf("panic: %v", problem)
		}
	}()
	output := thrift.NewTMemoryBuffer()
	ok, failure := p.TProcessor.Process(ctx, p.over(message), p.protocols.GetProtocol(output))
	switch {
	case failure == nil && (ok || output.Len() > 0):
		return output.Bytes(), nil
	case failure == nil:
		return nil, errors.New("the call could not be processed")
	case ok && output.Len() == 0: // a oneway method that failed
		return nil, nil
	case p.isWhole(ctx, output.Bytes()):
		return output.Bytes(), nil
	}
	return nil, failure
}

// isWhole tells a reply from what is left of one that could not be written.
func (p *Processor) isWhole(ctx context.Context, reply []byte) bool {
	in := p.over(reply)
	_, _, _, err := in.ReadMessageBegin(ctx)
	return err == nil && in.Skip(ctx, thrift.STRUCT) == nil && in.ReadMessageEnd(ctx) == nil
}

// over returns a protocol that reads from memory.
func (p *Processor) over(message []byte) thrift.TProtocol {
	buffer := thrift.NewTMemoryBuffer()
	buffer.Write(message)
	return p.protocols.GetProtocol(buffer)
}

func (p *Processor) exception(ctx context.Context, name string, seqID, code int32, text string) []byte {
	output := thrift.NewTMemoryBuffer()
	out := p.protocols.GetProtocol(output)
	_ = firstOf(writeException(ctx, out, name, seqID, thrift.NewTApplicationException(code, text)), out.Flush(ctx))
	return output.Bytes()
}

func codeOf(err error) int32 {
	var malformed thrift.TProtocolException
	var cut thrift.TTransportException
	if errors.As(err, &malformed) || errors.As(err, &cut) {
		return thrift.PROTOCOL_ERROR
	}
	return thrift.INTERNAL_ERROR
}

// --- the envelope ---------------------------------------------------------------------------------
//
// By hand, because generated code knows no limits: it holds the whole list before anybody could look
// at its size.

type call struct {
	message []byte
	timeout *time.Duration
	lane    *int32
}

type batch struct {
	options *Options
	calls   []call
	bytes   int
	refusal thrift.TApplicationException // a limit was passed; the message is read to its end
}

func (b *batch) refuse(what string, limit int) {
	if b.refusal == nil {
		b.refusal = thrift.NewTApplicationException(thrift.INTERNAL_ERROR, fmt.Sprintf("a batch has at most %d %s", limit, what))
	}
	b.calls = nil
}

// read reads the arguments of executeBatch.
func (b *batch) read(ctx context.Context, in thrift.TProtocol) error {
	found := false
	err := readStruct(ctx, in, func(id int16, kind thrift.TType) (bool, error) {
		if id != 1 || kind != thrift.STRUCT {
			return false, nil
		}
		return true, readStruct(ctx, in, func(id int16, kind thrift.TType) (bool, error) {
			if id != 1 || kind != thrift.LIST {
				return false, nil
			}
			found = true
			return true, b.readRequests(ctx, in)
		})
	})
	if err == nil && !found {
		return malformed("a batch without a list of requests")
	}
	return err
}

func (b *batch) readRequests(ctx context.Context, in thrift.TProtocol) error {
	kind, size, err := in.ReadListBegin(ctx)
	if err != nil {
		return err
	}
	if size > 0 && kind != thrift.STRUCT {
		return malformed("the requests of a batch must be structs")
	}
	if size > b.options.MaxCalls {
		b.refuse("calls", b.options.MaxCalls)
	}
	for i := 0; i < size; i++ {
		if err := b.readRequest(ctx, in); err != nil {
			return err
		}
	}
	return in.ReadListEnd(ctx)
}

func (b *batch) readRequest(ctx context.Context, in thrift.TProtocol) error {
	var c call
	found := false
	err := readStruct(ctx, in, func(id int16, kind thrift.TType) (known bool, err error) {
		switch {
		case id == 1 && kind == thrift.STRING:
			found = true
			c.message, err = in.ReadBinary(ctx)
		case id == 2 && kind == thrift.I32:
			var milliseconds int32
			milliseconds, err = in.ReadI32(ctx)
			timeout := time.Duration(milliseconds) * time.Millisecond
			c.timeout = &timeout
		case id == 3 && kind == thrift.I32:
			var lane int32
			lane, err = in.ReadI32(ctx)
			c.lane = &lane
		default:
			return false, nil
		}
		return true, err
	})
	if err != nil {
		return err
	}
	if !found {
		return malformed("a request without a message")
	}
	if b.bytes += len(c.message); b.bytes > b.options.MaxBytes {
		b.refuse("bytes", b.options.MaxBytes)
	}
	if b.refusal == nil {
		b.calls = append(b.calls, c)
	}
	return nil
}

// readStruct hands each field to readField, and skips those that it does not know.
func readStruct(ctx context.Context, in thrift.TProtocol, readField func(id int16, kind thrift.TType) (bool, error)) error {
	if _, err := in.ReadStructBegin(ctx); err != nil {
		return err
	}
	for {
		_, kind, id, err := in.ReadFieldBegin(ctx)
		if err != nil {
			return err
		}
		if kind == thrift.STOP {
			return in.ReadStructEnd(ctx)
		}
		known, err := readField(id, kind)
		if err == nil && !known {
			err = in.Skip(ctx, kind)
		}
		if err = firstOf(err, in.ReadFieldEnd(ctx)); err != nil {
			return err
		}
	}
}

func malformed(text string) error {
	return thrift.NewTProtocolExceptionWithType(thrift.INVALID_DATA, errors.New(text))
}

func writeException(ctx context.Context, out thrift.TProtocol, name string, seqID int32, what thrift.TApplicationException) error {
	return firstOf(
		out.WriteMessageBegin(ctx, name, thrift.EXCEPTION, seqID),
		what.Write(ctx, out),
		out.WriteMessageEnd(ctx))
}

func writeReplies(ctx context.Context, out thrift.TProtocol, seqID int32, replies [][]byte) error {
	err := firstOf(
		out.WriteMessageBegin(ctx, method, thrift.REPLY, seqID),
		out.WriteStructBegin(ctx, "executeBatch_result"),
		out.WriteFieldBegin(ctx, "success", thrift.STRUCT, 0),
		out.WriteStructBegin(ctx, "BatchResponse"),
		out.WriteFieldBegin(ctx, "responses", thrift.LIST, 1),
		out.WriteListBegin(ctx, thrift.STRUCT, len(replies)))
	for _, reply := range replies {
		err = firstOf(err, writeResponse(ctx, out, reply))
	}
	return firstOf(err,
		out.WriteListEnd(ctx),
		out.WriteFieldEnd(ctx), out.WriteFieldStop(ctx), out.WriteStructEnd(ctx),
		out.WriteFieldEnd(ctx), out.WriteFieldStop(ctx), out.WriteStructEnd(ctx),
		out.WriteMessageEnd(ctx))
}

func writeResponse(ctx context.Context, out thrift.TProtocol, reply []byte) error {
	err := out.WriteStructBegin(ctx, "Response")
	if len(reply) > 0 {
		err = firstOf(err,
			out.WriteFieldBegin(ctx, "message", thrift.STRING, 1),
			out.WriteBinary(ctx, reply),
			out.WriteFieldEnd(ctx))
	}
	return firstOf(err, out.WriteFieldStop(ctx), out.WriteStructEnd(ctx))
}

// firstOf returns the first error, of steps that have all been tried.
func firstOf(steps ...error) error {
	for _, err := range steps {
		if err != nil {
			return err
		}
	}
	return nil
}
