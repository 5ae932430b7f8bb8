// A service in Go that talks to Troupe's actors, with nats.go and PROTOCOL.md.
//
// Client is the client; lines.go lets a test call its methods by lines of JSON.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

const patience = 15 * time.Second

// Sending is a message on its way to an actor. Kind is the second token of its subject: do, high, low or later.
type Sending struct {
	Kind, Actor, Message string
	Headers              map[string]string
	Body                 []byte
}

// Outcome says how a message ended.
type Outcome struct {
	Status  string            `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"body"`
}

// CallError is the error of a live call.
type CallError struct {
	Code        int    `json:"code"`
	Description string `json:"description"`
}

// Answer is what a live call was answered.
type Answer struct {
	Error *CallError `json:"error,omitempty"`
	Body  []byte     `json:"body"`
}

// Letter is a dead letter, its body whole.
type Letter struct {
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"body"`
}

// Client sends to actors of one namespace.
type Client struct {
	nc              *nats.Conn
	js              nats.JetStreamContext
	namespace, name string
}

func newClient(nc *nats.Conn, namespace string) (*Client, error) {
	js, err := nc.JetStream()
	return &Client{nc, js, namespace, "shop"}, err
}

func (c *Client) subject(tokens ...string) string {
	return c.namespace + "." + strings.Join(tokens, ".")
}

func (c *Client) message(subject string, headers map[string]string, body []byte) *nats.Msg {
	msg := nats.NewMsg(subject)
	msg.Data = body
	for name, value := range headers {
		msg.Header[name] = []string{value}
	}
	return msg
}

func (c *Client) of(s Sending) *nats.Msg {
	return c.message(c.subject(s.Kind, s.Actor, s.Message), s.Headers, s.Body)
}

// Tell publishes without waiting for anything.
func (c *Client) Tell(s Sending) error {
	if err := c.nc.PublishMsg(c.of(s)); err != nil {
		return err
	}
	return c.nc.Flush()
}

// Send stores a message.
func (c *Client) Send(s Sending) (*nats.PubAck, error) {
	return c.js.PublishMsg(c.of(s))
}

// Ask stores a message and waits for its outcome.
func (c *Client) Ask(s Sending) (*Outcome, error) {
	reply, sub, err := c.listen()
	if err != nil {
		return nil, err
	}
	msg := c.of(s)
	msg.Header["Troupe-Reply"] = []string{reply}
	if _, err := c.js.PublishMsg(msg); err != nil {
		return nil, err
	}
	return outcome(sub.NextMsg(patience))
}

// Result waits until a result is kept, and reads it. It listens, looks, and looks again: what is heard may not be stored yet,
// what was told before it listened is not heard.
func (c *Client) Result(actor, sender, id string, timeout time.Duration) (*Outcome, error) {
	subject := c.subject("result", actor, encodeToken(sender), encodeToken(id))
	sub, err := c.nc.SubscribeSync(subject)
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe()
	for until := time.Now().Add(timeout); ; {
		kept, err := c.js.GetLastMsg(c.namespace+"-results", subject, nats.DirectGet())
		if err == nil {
			return outcome(&nats.Msg{Header: kept.Header, Data: kept.Data}, nil)
		}
		if !errors.Is(err, nats.ErrMsgNotFound) {
			return nil, err
		}
		heard, err := sub.NextMsg(min(time.Until(until), time.Second))
		if !errors.Is(err, nats.ErrTimeout) || time.Now().After(until) {
			return outcome(heard, err)
		}
	}
}

// Call asks a live worker; nothing is stored.
func (c *Client) Call(actor, message string, headers map[string]string, body []byte) (*Answer, error) {
	msg, err := c.nc.RequestMsg(c.message(c.subject("call", actor, message), headers, body), patience)
	if errors.Is(err, nats.ErrNoResponders) {
		return &Answer{Error: &CallError{503, "nobody is there"}}, nil
	}
	if err != nil {
		return nil, err
	}
	code := msg.Header.Get("Nats-Service-Error-Code")
	if code == "" {
		return &Answer{Body: msg.Data}, nil
	}
	number, err := strconv.Atoi(code)
	return &Answer{Error: &CallError{number, msg.Header.Get("Nats-Service-Error")}, Body: msg.Data}, err
}

// Cancel returns what the cancel met first.
func (c *Client) Cancel(actor string, request json.RawMessage, timeout time.Duration) (json.RawMessage, error) {
	reply, sub, err := c.listen()
	if err != nil {
		return nil, err
	}
	if _, err := c.js.PublishMsg(c.message(c.subject("cancel", actor), map[string]string{"Troupe-Reply": reply}, request)); err != nil {
		return nil, err
	}
	answer, err := sub.NextMsg(timeout)
	if err != nil {
		return nil, err
	}
	return answer.Data, nil
}

// Letter reads the newest dead letter of an id, which may be in two parts.
func (c *Client) Letter(actor, message, id string) (*Letter, error) {
	stream := c.namespace + "-dead"
	head, err := c.js.GetLastMsg(stream, c.subject("dead", actor, encodeToken(message), encodeToken(id)))
	if errors.Is(err, nats.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	letter := &Letter{flat(head.Header), head.Data}
	if tail := head.Header.Get("Troupe-Tail"); tail != "" {
		sequence, err := strconv.ParseUint(tail, 10, 64)
		if err != nil {
			return nil, err
		}
		end, err := c.js.GetMsg(stream, sequence)
		if err != nil {
			return nil, err
		}
		letter.Body = append(letter.Body, end.Data...)
	}
	return letter, nil
}

// Events calls back for each event of an actor's messages.
func (c *Client) Events(actor string, hear func(*nats.Msg)) error {
	if _, err := c.nc.Subscribe(c.subject("event", actor, ">"), hear); err != nil {
		return err
	}
	return c.nc.Flush()
}

// listen subscribes to a subject for one answer.
func (c *Client) listen() (string, *nats.Subscription, error) {
	reply := c.subject("reply", encodeToken(c.name), nats.NewInbox()[len("_INBOX."):])
	sub, err := c.nc.SubscribeSync(reply)
	if err == nil {
		err = sub.AutoUnsubscribe(1)
	}
	return reply, sub, err
}

func outcome(msg *nats.Msg, err error) (*Outcome, error) {
	if err != nil {
		return nil, err
	}
	return &Outcome{msg.Header.Get("Troupe-Status"), flat(msg.Header), msg.Data}, nil
}

func flat(header nats.Header) map[string]string {
	all := make(map[string]string, len(header))
	for name, values := range header {
		all[name] = values[0]
	}
	return all
}

// encodeToken makes one token of a subject of a text.
func encodeToken(text string) string {
	var token strings.Builder
	for _, b := range []byte(text) {
		isSafe := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("_:@/+=,;~-", b) >= 0
		if isSafe {
			token.WriteByte(b)
		} else {
			fmt.Fprintf(&token, "%%%02X", b)
		}
	}
	switch {
	case token.Len() > 600:
		return token.String()[:600] + "~cut"
	case token.Len() == 0:
		return "%"
	}
	return token.String()
}
