-- MINE: what is this visitor's now.
-- Command: visitor.
-- Replies: OK mine.
-- Change: none.
return ok_mine(command[2])
