import Replication

extension MLflowStore {
    /// How one kind of listing is asked for and read.
    struct Listing<Wire: Decodable, Element: Sendable>: Sendable {
        /// The array's name in the answer.
        var member: String
        var kind: EntityKey.Kind
        /// Where an entity's id is, for the report of one that cannot be read.
        var id: [String]
        var convert: @Sendable (Wire) throws -> Element
        /// Where an entity's unknown fields go; nil: nowhere.
        var unknown: (@Sendable (inout Element, [UnknownField]) -> Void)?
        /// The request for a page of that size from that token on.
        var call: @Sendable (_ size: Int, _ page: PageToken?) throws -> MLflowCall
    }

    /// One page. An entity that cannot be read is set aside by itself; a page that cannot even be taken apart is asked for in halves,
    /// down to single entities.
    func page<Wire, Element>(_ listing: Listing<Wire, Element>, size: Int, _ token: PageToken?) async throws -> Page<Element> {
        let call = try listing.call(size, token)
        let body: [UInt8]
        do {
            body = try await send(call)
        } catch let error as StoreError where error.reason == .tooLarge && size > 1 {
            return try await halves(listing, size: size, token)
        }
        do {
            let page = try read(listing, body)
            guard page.next == nil || page.next != token else { throw failure.malformed(call, "a page that names itself as the next") }
            return page
        } catch let error as JSONSpan.Malformed {
            // A body that does not even end like an object was cut on its way.
            guard body.last(where: { $0 > 0x20 }) == UInt8(ascii: "}") else {
                throw failure.truncated(call, "the answer ends before its JSON does")
            }
            guard size == 1 else { return try await halves(listing, size: size, token) }
            let entity = Undecodable(kind: listing.kind, id: nil, reason: error.description)
            return Page([], undecodable: [entity], next: Self.lastToken(of: body))
        }
    }

    private func halves<Wire, Element>(_ listing: Listing<Wire, Element>, size: Int, _ token: PageToken?) async throws -> Page<Element> {
        let first = try await page(listing, size: size / 2, token)
        guard let middle = first.next, middle != token else { return first }
        let second = try await page(listing, size: size - size / 2, middle)
        return Page(first.elements + second.elements, undecodable: first.undecodable + second.undecodable, next: second.next)
    }

    private func read<Wire, Element>(_ listing: Listing<Wire, Element>, _ body: [UInt8]) throws -> Page<Element> {
        let members = try JSONSpan.members(of: body, in: 0..<body.count)
        func member(_ name: String) -> Range<Int>? { members.first { body[$0.name].elementsEqual(name.utf8) }?.value }
        var page = Page<Element>([])
        for range in try member(listing.member).map({ try JSONSpan.elements(of: body, in: $0) }) ?? [] {
            unknown.look(at: body, in: range, of: listing.member, isFirst: page.elements.isEmpty && page.undecodable.isEmpty)
            do {
                var element = try listing.convert(try WireDecoder.decode(Wire.self, from: body[range]))
                if carriesUnknownFields, let put = listing.unknown {
                    put(&element, UnknownFields.fields(of: body, in: range, of: listing.member))
                }
                page.elements.append(element)
            } catch {
                let id = JSONSpan.string(of: body, in: range, at: listing.id)
                page.undecodable.append(Undecodable(kind: listing.kind, id: id, reason: WireDecoder.reason(error)))
            }
        }
        if let token = JSONSpan.string(of: body, in: 0..<body.count, at: ["next_page_token"]), !token.isEmpty {
            page.next = PageToken(rawValue: token)
        }
        return page
    }

    /// The text after the last `"next_page_token"`, of a body that is no JSON. A token has no quote in it.
    private static func lastToken(of body: [UInt8]) -> PageToken? {
        let name = Array("\"next_page_token\"".utf8)
        var start = body.count - name.count
        while start >= 0, !body[start..<start + name.count].elementsEqual(name) { start -= 1 }
        guard start >= 0 else { return nil }
        let rest = body[(start + name.count)...].drop { $0 != UInt8(ascii: "\"") }.dropFirst()
        let token = rest.prefix { $0 != UInt8(ascii: "\"") }
        return token.isEmpty ? nil : PageToken(rawValue: JSONSpan.unescaped(token))
    }
}
