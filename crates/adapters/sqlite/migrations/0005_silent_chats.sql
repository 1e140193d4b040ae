-- A visitor's chat in which nobody has written for so long that nothing said in it is kept is swept.
CREATE INDEX tenants_silent ON tenants (last_active_at) WHERE platform = 'web' AND version = 1;
