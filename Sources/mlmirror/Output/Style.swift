import ArgumentParser

/// `--color`.
enum ColorChoice: String, ExpressibleByArgument, CaseIterable, Sendable {
    case auto, always, never
}

/// Colour, or none.
struct Style: Sendable {
    var isColored: Bool
    func good(_ text: String) -> String { paint(text, 32) }
    func bad(_ text: String) -> String { paint(text, 31) }
    func faint(_ text: String) -> String { paint(text, 2) }
    func strong(_ text: String) -> String { paint(text, 1) }
    private func paint(_ text: String, _ code: Int) -> String { isColored ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text }
}
