import CCurl
import Glibc

/// Drives all transfers of one client on a thread of its own, the only one that touches libcurl's handles.
final class TransferLoop {
    private let multi: UnsafeMutableRawPointer
    private let mailbox: Mailbox
    private let configuration: HTTPClientConfiguration
    private let clock = LoopClock()
    private let sockets = SocketSet()
    private var active: [ObjectIdentifier: ActiveTransfer] = [:]
    private var idleHandles: [CurlHandle] = []
    private var nextCheck = Double.infinity
    private let checksAddresses: Bool

    /// Starts a thread that ends after `stop()` on the mailbox. The mailbox is closed at once if there can be none.
    static func spawn(_ configuration: HTTPClientConfiguration) -> Mailbox {
        guard isLibraryReady, let multi = curl_multi_init() else { return Mailbox(waking: nil) }
        let mailbox = Mailbox(waking: multi)
        let start = Unmanaged.passRetained(TransferLoop(multi, mailbox, configuration))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                Unmanaged<TransferLoop>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, start.toOpaque())
        guard code == 0 else {
            mailbox.detach()
            curl_multi_cleanup(multi)
            start.release()
            return mailbox
        }
        pthread_detach(thread)
        return mailbox
    }

    /// libcurl's global state is made once and lives as long as the process.
    private static let isLibraryReady = ccurl_global_init() == CURLE_OK

    private init(_ multi: UnsafeMutableRawPointer, _ mailbox: Mailbox, _ configuration: HTTPClientConfiguration) {
        self.multi = multi
        self.mailbox = mailbox
        self.configuration = configuration
        checksAddresses = !configuration.proxy.mayApply
        ccurl_multi_set_long(multi, CURLMOPT_MAX_HOST_CONNECTIONS, max(1, configuration.maximumConnectionsPerHost))
        // Without a number libcurl keeps four connections per running transfer, and closes them as soon as few run.
        ccurl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, max(64, 4 * configuration.maximumConnectionsPerHost))
    }

    private func run() {
        ccurl_name_thread("mlmirror-http")
        // With CURLOPT_NOSIGNAL a write to a closed TLS connection would raise SIGPIPE; other signals belong to other threads.
        var all = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, nil)
        while turn() {
            // A poll shorter than the next limit; libcurl shortens it further to its own timers.
            let wait = active.isEmpty ? 60 : max(0, nextCheck - clock.now)
            guard mailbox.prepareToPoll() else { continue }
            curl_multi_poll(multi, nil, 0, Int32(min(wait, 60).milliseconds), nil)
            mailbox.didPoll()
        }
        tearDown()
    }

    /// One round of commands, bytes and limits; false after `stop()`, which is noticed before any sleep.
    private func turn() -> Bool {
        clock.update()
        let (commands, isStopped) = mailbox.take()
        for command in commands { handle(command) }
        guard !isStopped else { return false }
        var running: Int32 = 0
        curl_multi_perform(multi, &running)
        if active.values.contains(where: \.needsQuickAcknowledgement) { sockets.acknowledgeNow() }
        var code = CURLE_OK
        while let easy = ccurl_next_finished(multi, &code) {
            if let exchange = ActiveTransfer.of(easy) { remove(exchange) { $0.conclude(code) } }
        }
        clock.update()
        if clock.now >= nextCheck { checkDeadlines() }
        return true
    }

    private func handle(_ command: Command) {
        switch command {
        case .start(let transfer): start(transfer)
        case .resume(let transfer):
            guard let exchange = active[ObjectIdentifier(transfer)] else { return }
            exchange.activeAt = clock.now
            let paused = transfer.paused
            exchange.paused = paused
            // May call the callbacks at once, which may pause again.
            curl_easy_pause(
                exchange.handle.easy, (paused.receiving ? CURLPAUSE_RECV : 0) | (paused.sending ? CURLPAUSE_SEND : 0))
        case .cancel(let transfer):
            if let exchange = active[ObjectIdentifier(transfer)] { remove(exchange) { _ in } }
        }
    }

    private func start(_ transfer: Transfer) {
        // Cancelled before it came here.
        guard !transfer.isEnded else { return }
        guard let handle = idleHandles.popLast() ?? CurlHandle() else {
            transfer.finish(throwing: HTTPError(.other, during: .preparing, of: transfer, "libcurl has no memory"))
            return
        }
        let exchange = ActiveTransfer(transfer, handle, clock: clock, sockets: sockets, checksAddress: checksAddresses)
        handle.configure(for: transfer, configuration)
        exchange.installCallbacks()
        active[ObjectIdentifier(transfer)] = exchange
        let code = curl_multi_add_handle(multi, handle.easy)
        guard code == CURLM_OK else {
            remove(exchange) {
                $0.transfer.finish(
                    throwing: HTTPError(.other, during: .preparing, of: $0.transfer, "libcurl refuses it (multi \(code.rawValue))"))
            }
            return
        }
        nextCheck = min(nextCheck, exchange.firstDeadline)
    }

    private func checkDeadlines() {
        nextCheck = .infinity
        for exchange in active.values {
            let (exceeded, next) = exchange.checkDeadlines { waiting in
                active.values.contains { $0.isSent && $0.authority == waiting.authority }
            }
            if let exceeded {
                remove(exchange) { $0.conclude(exceeded.kind, exceeded.text) }
            } else {
                nextCheck = min(nextCheck, next)
            }
        }
    }

    /// Takes the handle back, tells the caller the end, and keeps the handle for later.
    private func remove(_ exchange: ActiveTransfer, _ tell: (ActiveTransfer) -> Void) {
        curl_multi_remove_handle(multi, exchange.handle.easy)
        active[ObjectIdentifier(exchange.transfer)] = nil
        tell(exchange)
        exchange.handle.reset()
        if idleHandles.count < 32 { idleHandles.append(exchange.handle) }
    }

    private func tearDown() {
        for exchange in Array(active.values) { remove(exchange) { $0.conclude(.closed, "the client was shut down") } }
        idleHandles = []
        // Commands that came between the last look and the end have nobody left to answer them but us.
        mailbox.detach()
        curl_multi_cleanup(multi)
        for case .start(let transfer) in mailbox.take().commands { transfer.finish(throwing: HTTPError.closed(transfer.request)) }
    }
}
