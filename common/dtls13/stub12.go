package dtls13

type handshake12 struct{}
type readOld struct{}

func (*readOld) open(*scratch, plainHeader, []byte) (record, bool) { return record{}, false }
func (m *machine) repeat12(record)                                 {}
func (m *machine) onHelloVerifyRequest(message) error              { return errTimers }
func (m *machine) onServerHello12(message, serverHello) error      { return errTimers }
func (m *machine) onClientHello12(message, clientHello) error      { return errTimers }
