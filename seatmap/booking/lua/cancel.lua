-- CANCEL: free the seats of an order that Postgres has already cancelled, by compare-and-set on order_id.
-- Command: order_id, visitor, seats.
-- Replies: OK seats-freed. Repeating it changes nothing; seats that others own by now are left alone.
-- Change: the order's seats become available.
local order_id, id, list = command[2], command[3], command[4]
local claimed = free(list, 'c|' .. order_id)
if claimed > 0 then
  local owner = visitors.get(id)
  set_visitor(id, owner.count - claimed, owner.hold_id, owner.order_id)
end
local freed = claimed + free(list, 'b|' .. order_id)
local order = orders.get(order_id)
if order then
  local undecided = free(order.seats, 'p|' .. order_id)
  freed = freed + undecided
  local visitor = visitors.get(order.visitor)
  if visitor.order_id == order_id then set_visitor(order.visitor, visitor.count - #order.seats, visitor.hold_id, '') end
  orders.set(order_id, false)
  pending.set(order_id, false)
end
if order or freed > 0 then touch(order and order.visitor or id, 'cancelled') end
return 'OK ' .. int(freed)
