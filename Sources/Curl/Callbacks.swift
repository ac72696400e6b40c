import CCurl

extension ActiveTransfer {
    /// Makes libcurl call this object. The loop's table keeps it alive until the handle is removed or reset.
    func installCallbacks() {
        let easy = handle.easy
        let me = Unmanaged.passUnretained(self).toOpaque()
        ccurl_set_pointer(easy, CURLOPT_PRIVATE, me)
        ccurl_set_pointer(easy, CURLOPT_PREREQDATA, me)
        ccurl_set_prereq_callback(easy) { context, _, _, _, _ in
            ActiveTransfer.from(context).willSend() ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT
        }
        ccurl_set_pointer(easy, CURLOPT_HEADERDATA, me)
        ccurl_set_data_callback(easy, CURLOPT_HEADERFUNCTION) { buffer, size, count, context in
            let line = UnsafeRawBufferPointer(start: buffer, count: size * count)
            return ActiveTransfer.from(context).acceptHeader(line) ? line.count : 0
        }
        ccurl_set_pointer(easy, CURLOPT_WRITEDATA, me)
        ccurl_set_data_callback(easy, CURLOPT_WRITEFUNCTION) { buffer, size, count, context in
            let bytes = UnsafeRawBufferPointer(start: buffer, count: size * count)
            switch ActiveTransfer.from(context).acceptBody(bytes) {
            case .taken: return bytes.count
            case .full: return ccurl_write_pause()
            case .refused: return bytes.isEmpty ? 1 : 0
            }
        }
        if !transfer.body.isEmpty { installBodyCallbacks(me) }
        ccurl_set_pointer(easy, CURLOPT_OPENSOCKETDATA, me)
        ccurl_set_open_callback(easy) { context, _, address in ActiveTransfer.from(context).openSocket(address) }
        // A socket outlives the transfer that opened it.
        ccurl_set_pointer(easy, CURLOPT_CLOSESOCKETDATA, Unmanaged.passUnretained(sockets).toOpaque())
        ccurl_set_close_callback(easy) { context, socket in SocketSet.from(context).close(socket) }
    }

    private func installBodyCallbacks(_ me: UnsafeMutableRawPointer) {
        let easy = handle.easy
        ccurl_set_pointer(easy, CURLOPT_READDATA, me)
        ccurl_set_data_callback(easy, CURLOPT_READFUNCTION) { buffer, size, count, context in
            let target = UnsafeMutableRawBufferPointer(start: buffer, count: size * count)
            return ActiveTransfer.from(context).copyBody(into: target) ?? ccurl_read_pause()
        }
        // Without a way to rewind, libcurl cannot repeat a body. Only what may be repeated gets one.
        guard transfer.request.isIdempotent, case .bytes = transfer.body else { return }
        ccurl_set_pointer(easy, CURLOPT_SEEKDATA, me)
        ccurl_set_seek_callback(easy) { context, offset, origin in
            guard origin == 0 else { return CURL_SEEKFUNC_CANTSEEK }
            ActiveTransfer.from(context).bodyOffset = Int(offset)
            return CURL_SEEKFUNC_OK
        }
    }

    private func openSocket(_ address: UnsafeMutablePointer<curl_sockaddr>?) -> curl_socket_t {
        guard let address else { return ccurl_bad_socket() }
        if transfer.isForeign, checksAddress {
            var bytes = [UInt8](repeating: 0, count: 16)
            bytes.removeLast(16 - Int(ccurl_address_bytes(address, &bytes)))
            if PrivateAddress.contains(bytes) {
                hasRefusedAddress = true
                return ccurl_bad_socket()
            }
        }
        return sockets.open(address)
    }

    /// The object behind `CURLOPT_PRIVATE`.
    static func of(_ easy: UnsafeMutableRawPointer) -> ActiveTransfer? {
        ccurl_get_private(easy).map { Unmanaged<ActiveTransfer>.fromOpaque($0).takeUnretainedValue() }
    }

    /// libcurl hands back the pointer that `installCallbacks` gave it.
    private static func from(_ context: UnsafeMutableRawPointer?) -> ActiveTransfer {
        Unmanaged<ActiveTransfer>.fromOpaque(context.unsafelyUnwrapped).takeUnretainedValue()
    }
}

/// The sockets that libcurl has open. Never leaves the loop's thread.
final class SocketSet {
    private var sockets: Set<curl_socket_t> = []

    func open(_ address: UnsafeMutablePointer<curl_sockaddr>) -> curl_socket_t {
        let socket = ccurl_open_socket(address)
        if socket >= 0 { sockets.insert(socket) }
        return socket
    }

    func close(_ socket: curl_socket_t) -> Int32 {
        sockets.remove(socket)
        return ccurl_close_socket(socket)
    }

    /// The kernel goes back to delayed acknowledgements by itself, so this is asked again after every turn.
    func acknowledgeNow() {
        for socket in sockets { ccurl_acknowledge_now(socket) }
    }

    fileprivate static func from(_ context: UnsafeMutableRawPointer?) -> SocketSet {
        Unmanaged<SocketSet>.fromOpaque(context.unsafelyUnwrapped).takeUnretainedValue()
    }
}
