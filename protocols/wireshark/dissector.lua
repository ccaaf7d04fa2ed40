-- Wireshark dissector for RRAM test boards: frames, messages, doorbells and control requests on USB.
--
-- Use: tshark -X lua_script:rram.lua -r FILE, or put rram.lua into a folder of "About Wireshark / Folders / Lua plugins".
-- Live captures of a real board come from usbmon; `rram --capture FILE` writes captures of the same format from any board.
--
-- rram.lua is this file with the tables of rram.board.v1 put in by generate.py; change this one, not that.

-- @messages@

local rram = Proto("rram", "RRAM test board")

local HEADER = 16 -- bytes before the payload
local TRAILER = 4 -- bytes after it
local LONGEST = 1048576 -- bytes of payload; more is no frame

---------------------------------------------------------------------------------------------------
-- Fields

local all = {}
local function field(name, abbreviation, kind, values, base, mask)
  local made = ProtoField.new(name, "rram." .. abbreviation, kind, values, base, mask)
  all[#all + 1] = made
  return made
end

local frame = {
  whole = field("Frame", "frame", ftypes.NONE),
  sync = field("Sync", "frame.sync", ftypes.UINT16, nil, base.HEX),
  version = field("Version", "frame.version", ftypes.UINT8, nil, base.DEC),
  flags = field("Flags", "frame.flags", ftypes.UINT8, nil, base.HEX),
  more = field("More frames follow", "frame.flags.more", ftypes.BOOLEAN, nil, 8, 1),
  sequence = field("Sequence", "frame.sequence", ftypes.UINT32, nil, base.DEC),
  length = field("Length", "frame.length", ftypes.UINT32, nil, base.DEC),
  header_check = field("Header check", "frame.header_check", ftypes.UINT32, nil, base.HEX),
  payload_check = field("Payload check", "frame.payload_check", ftypes.UINT32, nil, base.HEX),
  skipped = field("Bytes that are no frame", "frame.skipped", ftypes.BYTES),
  part = field("Part of a frame that ends in a later burst", "frame.part", ftypes.BYTES),
}
local control = {
  request = field("Control request", "control.request", ftypes.UINT8, { [1] = "SAFE", [2] = "RESYNC", [3] = "STATUS" },
    base.DEC),
}
local status = {
  layout = field("Layout", "status.layout", ftypes.UINT8, nil, base.DEC),
  energised = field("Energised", "status.energised", ftypes.BOOLEAN, nil, 8, 1),
  grounded = field("Grounded", "status.grounded", ftypes.BOOLEAN, nil, 8, 2),
  session = field("A session is open", "status.session", ftypes.BOOLEAN, nil, 8, 4),
  cause = field("Last cause of safe", "status.last_safe_cause", ftypes.UINT8, enums.SafeCause, base.DEC),
  operations = field("Operations queued and running", "status.operations", ftypes.UINT8, nil, base.DEC),
  faults = field("Faults", "status.faults", ftypes.UINT32, nil, base.HEX),
  boot = field("Boot id", "status.boot_id", ftypes.UINT64, nil, base.HEX),
}
local doorbell = {
  events = field("Events since boot", "doorbell.events", ftypes.UINT32, nil, base.DEC),
  faults = field("Faults", "doorbell.faults", ftypes.UINT32, nil, base.HEX),
  time = field("Board time, µs", "doorbell.board_time_us", ftypes.UINT64, nil, base.DEC),
}
local unknown = field("Unknown field", "unknown_field", ftypes.BYTES)

local scalars = {
  uint32 = { ftypes.UINT32, base.DEC },
  uint64 = { ftypes.UINT64, base.DEC },
  fixed64 = { ftypes.UINT64, base.HEX },
  bool = { ftypes.BOOLEAN, base.NONE },
  float = { ftypes.FLOAT, base.NONE },
  double = { ftypes.DOUBLE, base.NONE },
  string = { ftypes.STRING, base.NONE },
  bytes = { ftypes.BYTES, base.NONE },
  message = { ftypes.NONE, base.NONE },
  enum = { ftypes.UINT32, base.DEC },
}
local tops = {}
for name, message in pairs(messages) do
  if name == "Request" or name == "Response" or name == "Event" then
    tops[name] = field(name, message.filter, ftypes.NONE)
  end
  for _, entry in pairs(message.fields) do
    local kind = scalars[entry.kind]
    entry.field = field(entry.name, message.filter .. "." .. entry.name, kind[1], enums[entry.enum], kind[2])
  end
end
rram.fields = all

local wrong = {
  header = ProtoExpert.new("rram.expert.skipped", "Bytes that are no frame", expert.group.MALFORMED,
    expert.severity.WARN),
  payload = ProtoExpert.new("rram.expert.payload_check", "The payload check is wrong: the frame is dropped",
    expert.group.CHECKSUM, expert.severity.ERROR),
  version = ProtoExpert.new("rram.expert.version", "Unknown version of the frame", expert.group.UNDECODED,
    expert.severity.WARN),
  field = ProtoExpert.new("rram.expert.unknown_field", "A field that this dissector does not know",
    expert.group.UNDECODED, expert.severity.NOTE),
  message = ProtoExpert.new("rram.expert.malformed", "The payload is no such message", expert.group.MALFORMED,
    expert.severity.ERROR),
}
rram.experts = { wrong.header, wrong.payload, wrong.version, wrong.field, wrong.message }

---------------------------------------------------------------------------------------------------
-- CRC-32 of zlib, on strings

local crc_of_byte = {}
for value = 0, 255 do
  local crc = value
  for _ = 1, 8 do
    local low = bit.band(crc, 1)
    crc = bit.rshift(crc, 1)
    if low == 1 then crc = bit.bxor(crc, 0xedb88320) end
  end
  crc_of_byte[value] = crc
end

local function crc32(text, first, last)
  local crc = 0xffffffff
  for at = first, last do
    crc = bit.bxor(bit.rshift(crc, 8), crc_of_byte[bit.band(bit.bxor(crc, text:byte(at)), 0xff)])
  end
  return bit.tobit(bit.bnot(crc))
end

local function u32(text, at)
  local a, b, c, d = text:byte(at, at + 3)
  return a + b * 0x100 + c * 0x10000 + d * 0x1000000
end

---------------------------------------------------------------------------------------------------
-- Messages

-- A varint as a number and as 64 bits, and where it ends; nil if it does not end.
local function varint(text, at, last)
  local number, long, shift = 0, UInt64(0), 0
  while at <= last and shift < 70 do
    local byte = text:byte(at)
    local seven = byte % 128
    number = number + seven * 2 ^ shift
    if shift < 64 then long = long:bor(UInt64(seven):lshift(shift)) end
    at = at + 1
    if byte < 128 then return number, long, at end
    shift = shift + 7
  end
  return nil
end

local dissect_message

-- Adds one value; `at` is its first byte in `text`, `count` its bytes, 0-based in the tvb one less.
local function add_value(entry, tree, tvb, text, at, count, number, long, start)
  local range = tvb(at - 1, count)
  if entry.kind == "message" then
    local sub = tree:add(entry.field, tvb(start - 1, at + count - start))
    return dissect_message(messages[entry.message], sub, tvb, text, at, at + count - 1)
  elseif entry.kind == "uint64" then
    tree:add(entry.field, range, long)
  elseif entry.kind == "bool" then
    tree:add(entry.field, range, number ~= 0)
  elseif entry.kind == "uint32" or entry.kind == "enum" then
    -- Longer values are cut to 32 bits, as protobuf does it.
    tree:add(entry.field, range, number % 2 ^ 32)
  elseif entry.kind == "string" then
    tree:add_packet_field(entry.field, range, ENC_UTF_8 + ENC_NA)
  elseif entry.kind == "bytes" then
    tree:add(entry.field, range)
  else
    tree:add_le(entry.field, range)
  end
  return true
end

local wire_types = {
  uint32 = 0, uint64 = 0, bool = 0, enum = 0, fixed64 = 1, double = 1, string = 2, bytes = 2, message = 2, float = 5,
}

-- Adds the fields of a message in bytes first..last of `text`; false if it is malformed. Also gives the name of its body.
function dissect_message(message, tree, tvb, text, first, last)
  local at, body = first, nil
  while at <= last do
    local start = at
    local key, _, after = varint(text, at, last)
    if not key then return false, body end
    at = after
    local number, wire = math.floor(key / 8), key % 8
    local value, long, count
    if wire == 0 then
      value, long, after = varint(text, at, last)
      if not value then return false, body end
      count = after - at
    elseif wire == 1 then
      count = 8
    elseif wire == 5 then
      count = 4
    elseif wire == 2 then
      count, _, after = varint(text, at, last)
      if not count then return false, body end
      at = after
    else
      return false, body
    end
    if at + count - 1 > last then return false, body end
    local entry = message.fields[number]
    if not entry then
      tree:add(unknown, tvb(start - 1, at + count - start)):add_proto_expert_info(wrong.field)
    elseif entry.repeated and wire == 2 and wire_types[entry.kind] == 0 then
      -- Packed.
      local place = at
      while place < at + count do
        local one, one_long, one_after = varint(text, place, at + count - 1)
        if not one then return false, body end
        add_value(entry, tree, tvb, text, place, one_after - place, one, one_long, place)
        place = one_after
      end
    elseif wire == wire_types[entry.kind] then
      if entry.body then body = entry.name end
      if not add_value(entry, tree, tvb, text, at, count, value, long, start) then return false, body end
    else
      return false, body
    end
    at = at + count
  end
  return true, body
end

---------------------------------------------------------------------------------------------------
-- Frames

-- What the first pass found, by endpoint and by packet: later passes come in any order.
local pending = {} -- endpoint: bytes of a frame that has not ended
local known = {} -- endpoint: true once a frame began there
local boards = {} -- board: true once its ids or a frame were seen
local before = {} -- packet: bytes of earlier bursts that belong to it
local ours = {} -- packet without frames: true if it is a board's

function rram.init()
  pending, known, boards, before, ours = {}, {}, {}, {}, {}
end

-- The name of the message, for the column.
local function dissect_frame(tree, tvb, text, at, length, is_out)
  local flags, sequence = text:byte(at + 3), u32(text, at + 4)
  local total = HEADER + length + TRAILER
  local sub = tree:add(frame.whole, tvb(at - 1, total))
  sub:add_le(frame.sync, tvb(at - 1, 2))
  sub:add_le(frame.version, tvb(at + 1, 1))
  local flag_tree = sub:add_le(frame.flags, tvb(at + 2, 1))
  flag_tree:add_le(frame.more, tvb(at + 2, 1))
  sub:add_le(frame.sequence, tvb(at + 3, 4))
  sub:add_le(frame.length, tvb(at + 7, 4))
  sub:add_le(frame.header_check, tvb(at + 11, 4))
  local payload = at + HEADER
  local check = sub:add_le(frame.payload_check, tvb(payload + length - 1, 4))
  if crc32(text, payload, payload + length - 1) ~= bit.tobit(u32(text, payload + length)) then
    check:add_proto_expert_info(wrong.payload)
    sub:append_text(", damaged")
    return "damaged frame"
  end
  local name = is_out and "Request" or sequence == 0 and "Event" or "Response"
  local message = sub:add(tops[name], tvb(payload - 1, length))
  local good, body = dissect_message(messages[name], message, tvb, text, payload, payload + length - 1)
  if not good then message:add_proto_expert_info(wrong.message) end
  local said = name .. " " .. (body or "without body")
  sub:append_text(string.format(", %s, sequence %d%s", said, sequence, flags % 2 == 1 and ", more" or ""))
  return said
end

-- Finds frames as framing.md describes it; returns what is left over from `text` for the next burst.
local function dissect_stream(tree, tvb, text, is_out, columns)
  local at, bad = 1, nil
  local function flush()
    if bad then
      tree:add(frame.skipped, tvb(bad - 1, at - bad)):add_proto_expert_info(wrong.header)
      bad = nil
    end
  end
  while at <= #text do
    local left = #text - at + 1
    if text:byte(at) ~= 0x52 or left >= 2 and text:byte(at + 1) ~= 0x52 then
      bad = bad or at
      at = at + 1
    elseif left < HEADER then
      break
    elseif crc32(text, at, at + 11) ~= bit.tobit(u32(text, at + 12)) then
      bad = bad or at
      at = at + 1
    elseif text:byte(at + 2) ~= 1 then
      flush()
      tree:add(frame.skipped, tvb(at - 1, HEADER)):add_proto_expert_info(wrong.version)
      at = at + HEADER
    elseif u32(text, at + 8) > LONGEST then
      bad = bad or at
      at = at + 1
    else
      local length = u32(text, at + 8)
      if left < HEADER + length + TRAILER then break end
      flush()
      columns[#columns + 1] = dissect_frame(tree, tvb, text, at, length, is_out)
      at = at + HEADER + length + TRAILER
    end
  end
  flush()
  local rest = text:sub(at)
  if #rest > 0 then tree:add(frame.part, tvb(at - 1, #rest)) end
  return rest
end

local function begins_like_a_frame(text)
  if #text < HEADER then return text:sub(1, 2) == string.sub("RR", 1, #text) end
  return text:sub(1, 2) == "RR" and crc32(text, 1, 12) == bit.tobit(u32(text, 13))
end

local function dissect_bulk(tvb, pinfo, tree, board, endpoint, is_out)
  local text = tvb:raw()
  if not pinfo.visited then
    -- Vendor interfaces of other devices come here as well: a board is known by its first frame.
    if not known[endpoint] and not begins_like_a_frame(text) then return 0 end
    known[endpoint] = true
    boards[board] = true
    before[pinfo.number] = pending[endpoint] or ""
  end
  local prefix = before[pinfo.number]
  if not prefix then return 0 end
  pinfo.cols.protocol = "RRAM"
  local whole = tvb
  if #prefix > 0 then
    text = prefix .. text
    local bytes = ByteArray.new(text, true)
    whole = bytes:tvb("Frames of several bursts")
  end
  local top = tree:add(rram, whole())
  local columns = {}
  local rest = dissect_stream(top, whole, text, is_out, columns)
  if not pinfo.visited then pending[endpoint] = rest end
  pinfo.cols.info = #columns > 0 and table.concat(columns, ", ") or "part of a frame"
  return tvb:len()
end

---------------------------------------------------------------------------------------------------
-- Beside the frames

local function dissect_doorbell(tvb, pinfo, tree)
  if tvb:len() ~= 16 then return 0 end
  pinfo.cols.protocol = "RRAM"
  pinfo.cols.info = "Doorbell"
  local top = tree:add(rram, tvb())
  top:append_text(", doorbell")
  top:add_le(doorbell.events, tvb(0, 4))
  top:add_le(doorbell.faults, tvb(4, 4))
  top:add_le(doorbell.time, tvb(8, 8))
  return 16
end

local function dissect_status(tvb, pinfo, tree)
  if tvb:len() ~= 16 then return 0 end
  pinfo.cols.protocol = "RRAM"
  pinfo.cols.info = "STATUS answer"
  local top = tree:add(rram, tvb())
  top:append_text(", status")
  top:add_le(status.layout, tvb(0, 1))
  for _, flag in ipairs({ status.energised, status.grounded, status.session }) do top:add_le(flag, tvb(1, 1)) end
  top:add_le(status.cause, tvb(2, 1))
  top:add_le(status.operations, tvb(3, 1))
  top:add_le(status.faults, tvb(4, 4))
  top:add_le(status.boot, tvb(8, 8))
  return 16
end

---------------------------------------------------------------------------------------------------
-- The bus

local usb = {
  bus = Field.new("usb.bus_id"),
  device = Field.new("usb.device_address"),
  endpoint = Field.new("usb.endpoint_address"),
  transfer = Field.new("usb.transfer_type"),
  request_type = Field.new("usb.bmRequestType"),
  request = Field.new("usb.setup.bRequest"),
  vendor = Field.new("usb.idVendor"),
  product = Field.new("usb.idProduct"),
}

-- Bus and number of the device that a packet came from or went to; nil beside USB.
local function board_of_packet()
  local bus, device = usb.bus(), usb.device()
  return device and string.format("%s.%s", bus and bus.value or 0, device.value)
end

-- Whether a packet without frames is a board's, as the first pass saw it.
local function is_ours(pinfo, board)
  if not pinfo.visited then ours[pinfo.number] = boards[board] end
  return ours[pinfo.number]
end

function rram.dissector(tvb, pinfo, tree)
  local board, endpoint, transfer = board_of_packet(), usb.endpoint(), usb.transfer()
  if not (board and endpoint and transfer) or tvb:len() == 0 then return 0 end
  local address = endpoint.value
  if transfer.value == 3 then
    return dissect_bulk(tvb, pinfo, tree, board, board .. "." .. address, address < 0x80)
  elseif address < 0x80 or not is_ours(pinfo, board) then
    return 0
  elseif transfer.value == 1 then
    return dissect_doorbell(tvb, pinfo, tree)
  elseif transfer.value == 2 then
    return dissect_status(tvb, pinfo, tree)
  end
  return 0
end

-- Control requests without data reach no dissector below USB: seen here, after it.
local beside = Proto("rram_control", "RRAM control requests")

function beside.dissector(tvb, pinfo, tree)
  local board = board_of_packet()
  if not board then return end
  local vendor, product = usb.vendor(), usb.product()
  if vendor and product and vendor.value == 0x1209 and product.value == 1 then boards[board] = true end
  local kind, request = usb.request_type(), usb.request()
  if not (kind and request) or not is_ours(pinfo, board) then return end
  local number = request.value
  if kind.value == 0x40 and (number == 1 or number == 2) or kind.value == 0xc0 and number == 3 then
    local name = ({ "SAFE", "RESYNC", "STATUS" })[number]
    pinfo.cols.protocol = "RRAM"
    pinfo.cols.info = name
    local top = tree:add(rram, tvb())
    top:append_text(", control request")
    top:add(control.request, number)
    -- Half a frame that was under way is forgotten.
    if number == 2 and not pinfo.visited then
      for endpoint, _ in pairs(pending) do
        if endpoint:sub(1, #board + 1) == board .. "." then pending[endpoint] = nil end
      end
    end
  end
end

-- By interface class for any board, and by the public test ids, which reach answers to control requests as well.
DissectorTable.get("usb.bulk"):add(0xff, rram)
DissectorTable.get("usb.interrupt"):add(0xff, rram)
DissectorTable.get("usb.product"):add(0x12090001, rram)
register_postdissector(beside)
