/// One thing that was looked at.
struct CheckStep: Sendable, Hashable, Encodable {
    enum Result: String, Sendable, Encodable {
        case ok, failed, skipped
    }
    var name: String
    var result: Result
    var detail: String
    var exitCode: Int32
}

/// What was looked at, in order.
struct CheckList: Sendable {
    private(set) var steps: [CheckStep] = []

    mutating func ok(_ name: String, _ detail: String) { steps.append(CheckStep(name: name, result: .ok, detail: detail, exitCode: 0)) }

    mutating func skip(_ name: String, _ detail: String) {
        steps.append(CheckStep(name: name, result: .skipped, detail: detail, exitCode: 0))
    }

    mutating func failed(_ name: String, _ error: any Error) {
        steps.append(CheckStep(name: name, result: .failed, detail: "\(error)", exitCode: ExitStatus.of(error).rawValue))
    }

    /// `body` returns the detail of a step that went well.
    mutating func run(_ name: String, _ body: () throws -> String) {
        do { ok(name, try body()) } catch { failed(name, error) }
    }

    var hasFailure: Bool { steps.contains { $0.result == .failed } }

    /// The first failure's.
    var outcome: Outcome {
        guard let first = steps.first(where: { $0.result == .failed }) else { return .ok }
        return Outcome(ExitStatus(rawValue: first.exitCode), "\(first.name): \(first.detail)")
    }

    func text(_ style: Style) -> String {
        let width = (steps.map(\.name.count).max() ?? 0) + 2
        return steps.map { step in
            let result = step.result.rawValue + String(repeating: " ", count: 9 - step.result.rawValue.count)
            let painted =
                switch step.result {
                case .ok: style.good(result)
                case .failed: style.bad(result)
                case .skipped: style.faint(result)
                }
            return painted + step.name + String(repeating: " ", count: width - step.name.count) + step.detail.printable + "\n"
        }.joined()
    }
}

/// A check's result as `--json` prints it.
struct CheckDocument: Encodable {
    var messageType = "check"
    var steps: [CheckStep]
    var settings: [ShownSetting]?
    var assessment: AssessmentDocument?
    var exitCode: Int32
}

/// `--show-config` for people: key, value, source.
enum SettingTable {
    static func text(_ settings: [ShownSetting], _ style: Style) -> String {
        guard !settings.isEmpty else { return "" }
        let keys = (settings.map(\.key.count).max() ?? 0) + 2
        let values = min(50, (settings.map(\.value.count).max() ?? 0) + 2)
        func padded(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(2, width - text.count)) }
        return settings.map { padded($0.key, keys) + padded($0.value, values) + style.faint($0.source) + "\n" }.joined() + "\n"
    }
}
