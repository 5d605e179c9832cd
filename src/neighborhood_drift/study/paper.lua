-- Cross references, captions, equation numbers and callouts as Quarto has them, for pandoc's html and typst writers.
-- Runs before citeproc, so that what is left of @keys is citations. Each warning is a thing the paper lacks.

local html = FORMAT:match("html") ~= nil
local words = { fig = "Figure", tbl = "Table", eq = "Equation", sec = "Section" }
local numbers, text = {}, {} -- how many of a kind; id -> "Figure 3"

local function typst(code) return pandoc.RawInline("typst", code) end
local function typst_block(code) return pandoc.RawBlock("typst", code) end
local function html_block(code) return pandoc.RawBlock("html", code) end
local function quote(s) return '"' .. s:gsub("\\", "\\\\"):gsub('"', '\\"') .. '"' end
local function kind_of(id) return id:match("^(%a+)%-") end
local function warn(sentence) pandoc.log.warn(sentence) end

local function number(id, value)
  local kind = kind_of(id)
  if text[id] then warn("Label " .. id .. " stands twice") end
  if not value then
    numbers[kind] = (numbers[kind] or 0) + 1
    value = tostring(numbers[kind])
  end
  text[id] = { word = words[kind], value = value }
  return value
end

local function lead(id) return pandoc.Strong({ pandoc.Str(words[kind_of(id)] .. "\u{a0}" .. text[id].value .. ".") }) end

local function numbered_caption(id, caption)
  local inlines = pandoc.Inlines({ lead(id), pandoc.Space() })
  inlines:extend(caption)
  return inlines
end

-- Pandoc gives an image without an alternative text its caption for one; that says nothing anew and does not count.
local function alt_of(image, caption)
  local alt = image.attributes["fig-alt"] or image.attributes["alt"] or pandoc.utils.stringify(image.caption)
  return alt ~= pandoc.utils.stringify(caption) and alt or ""
end

local function figure(id, image, caption, code)
  local alt = alt_of(image, caption)
  if alt == "" then warn("Figure " .. id .. " has no alternative text (fig-alt)") end
  number(id)
  caption = numbered_caption(id, caption)
  if html then
    image.caption, image.attributes["fig-alt"], image.attributes["alt"] = { pandoc.Str(alt) }, nil, nil
    local blocks = pandoc.Blocks({ pandoc.Figure({ pandoc.Plain({ image }) }, { pandoc.Plain(caption) }, pandoc.Attr(id)) })
    blocks:extend(code)
    return blocks
  end
  local width = image.attributes.width and (", width: " .. image.attributes.width) or ""
  local open = ("#figure(image(%s, alt: %s%s), kind: image, caption: ["):format(quote(image.src), quote(alt), width)
  local inlines = pandoc.Inlines({ typst(open) })
  inlines:extend(caption)
  inlines:insert(typst("]) <" .. id .. ">"))
  return pandoc.Para(inlines)
end

-- Columns of the PDF. Typst measures them where all fit the page; else they share it by how much text they hold, but
-- none gets more than its longest cell needs nor, where there is room for that, less than its longest word.
local page, letter, sides = 454, 4.2, 10 -- points
local function fit(block)
  local natural, least, amount, rows, longest = {}, {}, {}, 0, 0
  local function look(row, bold)
    for column, cell in ipairs(row.cells) do
      local shown = pandoc.utils.stringify(cell.contents)
      local length = utf8.len(shown) or #shown
      longest = math.max(longest, length)
      amount[column] = (amount[column] or 0) + length
      natural[column] = math.max(natural[column] or 0, length * letter * bold + sides)
      for word in shown:gmatch("[^ \n]+") do
        least[column] = math.max(least[column] or 0, (utf8.len(word) or #word) * letter * bold + sides)
      end
    end
  end
  for _, row in ipairs(block.head.rows) do look(row, 1.1) end
  for _, body in ipairs(block.bodies) do
    for _, row in ipairs(body.body) do look(row, 1) end
    rows = rows + #body.body
  end
  local short = rows <= 16 and longest <= 48
  local whole, fewest = 0, 0
  for column in ipairs(natural) do
    least[column] = math.min(least[column] or sides, page / 4)
    amount[column] = math.sqrt(amount[column] + 1)
    whole, fewest = whole + natural[column], fewest + least[column]
  end
  if whole <= page then
    for column, spec in ipairs(block.colspecs) do block.colspecs[column] = { spec[1] } end
    return short, false
  end
  local function shared(scale)
    local widths, sum = {}, 0
    for column in ipairs(natural) do
      local floor = least[column] * math.min(1, page / fewest)
      widths[column] = math.max(floor, math.min(natural[column], scale * amount[column]))
      sum = sum + widths[column]
    end
    return widths, sum
  end
  local low, high = 0, page -- of the points for a unit of text: the widths grow with it
  for _ = 1, 40 do
    local middle = (low + high) / 2
    local _, sum = shared(middle)
    if sum <= page then low = middle else high = middle end
  end
  for column, width in ipairs((shared(low))) do
    block.colspecs[column] = { block.colspecs[column][1], width / page }
  end
  return short, true
end

local function table_with(id, block, caption)
  number(id)
  block.attr = pandoc.Attr(html and "" or id)
  block.caption = { long = { pandoc.Plain(numbered_caption(id, caption)) } }
  if html then return pandoc.Div({ block }, pandoc.Attr(id, { "table" })) end
  local short, wide = fit(block)
  local style = wide and "#show table.cell: set text(8pt); " or ""
  if short then style = style .. "#show figure: set block(breakable: false); " end
  return pandoc.Blocks({ typst_block("#[" .. style), block, typst_block("]") })
end

-- ::: {#fig-x} picture, caption, code ::: and ::: {#tbl-x} table, caption :::
local function division(div)
  local image, block, caption, code = nil, nil, pandoc.Inlines({}), pandoc.Blocks({})
  for _, part in ipairs(div.content) do
    local only = (part.t == "Para" or part.t == "Plain") and #part.content == 1 and part.content[1]
    if part.t == "Table" then
      block = part
    elseif only and only.t == "Image" then
      image = only
    elseif part.t == "Figure" then
      image = part.content[1].content[1]
      caption = part.caption.long[1] and part.caption.long[1].content or caption
    elseif part.t == "Para" then
      caption = part.content
    elseif part.t == "Div" and part.classes:includes("cell-code") and html then
      local name = part.attributes.notebook
      code:insert(html_block('<details class="code"><summary>Code</summary>'))
      code:extend(part.content)
      code:insert(html_block(('<p>from <a href="../notebooks/%s.ipynb">%s.ipynb</a></p></details>'):format(name, name)))
    end
  end
  if kind_of(div.identifier) == "tbl" and block then return table_with(div.identifier, block, caption) end
  if image then return figure(div.identifier, image, caption, code) end
  warn("Label " .. div.identifier .. " stands on neither a figure nor a table")
end

local names = { note = "Note", tip = "Tip", important = "Important", caution = "Caution", warning = "Warning" }
local function callout(div)
  local kind
  for _, class in ipairs(div.classes) do kind = kind or class:match("^callout%-(%a+)$") end
  if not names[kind] then return nil end
  local title = pandoc.Inlines({ pandoc.Str(div.attributes.title or names[kind]) })
  local content = div.content
  if content[1] and content[1].t == "Header" then title = content:remove(1).content end
  if html then
    content:insert(1, pandoc.Div({ pandoc.Plain(title) }, pandoc.Attr("", { "callout-title" })))
    return pandoc.Div(content, pandoc.Attr(div.identifier, { "callout", "callout-" .. kind }))
  end
  local head = pandoc.Inlines({ typst('#callout("' .. kind .. '", [') })
  head:extend(title)
  head:insert(typst("])["))
  local blocks = pandoc.Blocks({ pandoc.Plain(head) })
  blocks:extend(content)
  blocks:insert(typst_block("]"))
  return blocks
end

local function visible(div)
  local wanted = div.attributes["when-format"] or div.attributes["unless-format"]
  local here = (wanted == "html") == html
  if div.attributes["unless-format"] then here = not here end
  if div.classes:includes("content-hidden") then here = not here end
  return here and div.content or {}
end

local function equation(para)
  local math, label, rest = nil, nil, {}
  for _, part in ipairs(para.content) do
    if part.t == "Math" and part.mathtype == "DisplayMath" then
      math = part
    elseif part.t == "Str" and part.text:match("^{#eq%-[%w%-_]+}[.,]?$") then
      label = part.text:match("#([%w%-_]+)")
    elseif part.t ~= "Space" and part.t ~= "SoftBreak" then
      rest[#rest + 1] = part
    end
  end
  if not (math and label) then return nil end
  if #rest > 0 then warn("Equation " .. label .. " shares its paragraph with text; set it apart by blank lines") end
  local value = number(label)
  if html then
    local shown = pandoc.Span({ pandoc.Str("(" .. value .. ")") }, pandoc.Attr("", { "equation-number" }))
    return pandoc.Div({ pandoc.Plain({ pandoc.Span({ math }), shown }) }, pandoc.Attr(label, { "equation" }))
  end
  return pandoc.Para({ typst('#equation("(' .. value .. ')")['), math, typst("] <" .. label .. ">") })
end

-- First pass, in the order of the text: number everything that has a label.
local levels = {}
local function section(header)
  if header.classes:includes("unnumbered") then return nil end
  levels[header.level] = (levels[header.level] or 0) + 1
  for deeper = header.level + 1, 6 do levels[deeper] = 0 end
  local parts = {}
  for level = 1, header.level do parts[level] = tostring(levels[level] or 0) end
  if kind_of(header.identifier) == "sec" then number(header.identifier, table.concat(parts, ".")) end
end

-- In the PDF figures float, but not into the next section of the first level.
local function settle(header)
  if not html and header.level == 1 then return { typst_block("#place.flush()"), header } end
end

-- A number stays with its percent sign.
local function percent(inlines)
  for position = 2, #inlines - 1 do
    local before, space, after = inlines[position - 1], inlines[position], inlines[position + 1]
    if (space.t == "Space" or space.t == "SoftBreak") and after.t == "Str" and after.text:match("^%%") then
      if before.t == "Math" or (before.t == "Str" and before.text:match("%d$")) then
        inlines[position] = pandoc.Str("\u{a0}")
      end
    end
  end
  return inlines
end

local first = {
  traverse = "topdown",
  Header = section,
  Para = equation,
  Div = function(div)
    local classes = div.classes
    if classes:includes("content-visible") or classes:includes("content-hidden") then return visible(div) end
    local kind = kind_of(div.identifier)
    if kind == "fig" or kind == "tbl" then return division(div), false end
    return callout(div)
  end,
  Figure = function(block)
    local image = block.content[1] and block.content[1].content[1]
    if not (image and image.t == "Image") then return nil end
    local caption = block.caption.long[1] and block.caption.long[1].content or {}
    if kind_of(block.identifier) == "fig" then return figure(block.identifier, image, caption, {}), false end
    warn("Figure " .. image.src .. " has no label; write {#fig-name}")
  end,
  Table = function(block)
    if kind_of(block.identifier) ~= "tbl" then return nil end
    local caption = block.caption.long[1] and block.caption.long[1].content or {}
    return table_with(block.identifier, block, caption), false
  end,
}

-- Second pass: references.
local second = {
  Cite = function(cite)
    local found = {}
    for _, citation in ipairs(cite.citations) do
      if words[kind_of(citation.id) or ""] then found[#found + 1] = citation end
    end
    if #found == 0 then return nil end
    if #found < #cite.citations then warn("References and citations share one bracket at @" .. found[1].id) end
    local inlines = pandoc.Inlines({})
    for position, citation in ipairs(found) do
      local target = text[citation.id]
      if not target then
        warn("Unable to resolve crossref @" .. citation.id)
        return pandoc.Strong({ pandoc.Str("?" .. citation.id) })
      end
      if position > 1 then inlines:extend({ pandoc.Str(position == #found and " and" or ","), pandoc.Space() }) end
      local word = citation.mode == "SuppressAuthor" and "" or target.word .. "\u{a0}"
      inlines:extend(citation.prefix)
      if #citation.prefix > 0 then inlines:insert(pandoc.Space()) end
      inlines:insert(pandoc.Link({ pandoc.Str(word .. target.value) }, "#" .. citation.id))
      inlines:extend(citation.suffix)
    end
    return inlines
  end,
}

return {
  {
    Pandoc = function(doc)
      local top = 6
      doc:walk({ Header = function(header) top = math.min(top, header.level) end })
      doc = doc:walk({
        Header = function(header)
          header.level = header.level - top + 1
          return header
        end,
      })
      return doc:walk(first):walk(second):walk({ Inlines = percent, Header = settle })
    end,
  },
}
