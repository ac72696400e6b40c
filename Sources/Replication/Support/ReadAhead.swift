/// Lets a producer run ahead of its consumer by a bounded number of elements. One producer, one consumer.
final class ReadAhead<Element: Sendable>: Sendable {
    private struct State {
        var elements: [Element] = []
        var isFinished = false
    }
    private let state = Locked(State())
    private let slots: Permits
    private let arrived = Signal()

    init(capacity: Int) { slots = Permits(capacity) }

    func send(_ element: Element) async throws {
        try await slots.acquire()
        state.withLock { $0.elements.append(element) }
        arrived.raise()
    }

    func finish() {
        state.withLock { $0.isFinished = true }
        arrived.raise()
    }

    func next() async throws -> Element? {
        while true {
            let (element, isFinished) = state.withLock { state in
                (state.elements.isEmpty ? nil : state.elements.removeFirst(), state.isFinished)
            }
            if let element {
                slots.release()
                return element
            }
            if isFinished { return nil }
            try Task.checkCancellation()
            await arrived.wait()
        }
    }

    enum Step { case goOn, stop }

    /// Runs both sides; an error of either ends the other. When the consumer stops early the producer is cancelled.
    static func run(
        capacity: Int, produce: @escaping @Sendable (ReadAhead<Element>) async throws -> Void, consume: (Element) async throws -> Step
    ) async throws {
        let buffer = ReadAhead(capacity: capacity)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { buffer.finish() }
                try await produce(buffer)
            }
            while let element = try await buffer.next() {
                if try await consume(element) == .stop {
                    group.cancelAll()
                    return
                }
            }
            try await group.waitForAll()
        }
    }
}
